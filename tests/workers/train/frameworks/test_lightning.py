"""Lightning's Trainer in a loop of the user's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lightning", reason="Lightning is an extra: requirements/lightning.txt")

import lightning

from headrace_workers.faults import RunFault
from headrace_workers.train.frameworks.lightning import fit
from headrace_workers.train.frameworks.run_optimizer import RunOptimizer
from headrace_workers.train.own_loop import Batch, Run
from tests.workers.train import user_loops
from tests.workers.train.frameworks.likeness import require_like_built_in, require_resumed_alike, spec
from tests.workers.train.test_loop import train


class Classifier(lightning.LightningModule):
    """What a user writes."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.network, self._run = run.module, run

    def training_step(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch."""
        return torch.nn.functional.cross_entropy(self.network(batch.inputs).float(), batch.targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The run's."""
        return RunOptimizer(self._run)


def by_lightning(run: Run) -> None:
    """As the documentation says."""
    fit(run, Classifier(run))


@pytest.fixture(autouse=True)
def loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_loops, "by_lightning", by_lightning, raising=False)


@pytest.mark.parametrize("changes", [{}, {"microBatchSize": 10}, {"precision": "BFloat16"}, {"precision": "Float16"}])
def test_it_comes_to_what_training_comes_to(tmp_path: Path, changes: dict[str, Any]) -> None:
    """The same weights as without it, in parts and scaled too."""
    require_like_built_in(tmp_path, "by_lightning", changes)


def test_a_stop_is_saved_and_gone_on_from(tmp_path: Path) -> None:
    """The Trainer is left by the way of an exception, and begins anew with the run's state."""
    require_resumed_alike(tmp_path, "by_lightning")


def test_what_the_manifest_decides_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accumulation is microBatchSize's."""
    monkeypatch.setattr(user_loops, "by_lightning", lambda run: fit(run, Classifier(run), accumulate_grad_batches=2))
    with pytest.raises(RunFault, match="accumulate_grad_batches of Lightning's Trainer is decided by the TrainJob"):
        train(tmp_path, spec("by_lightning"))


def test_a_scheduler_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run would begin its schedule anew."""

    class Scheduled(Classifier):
        def configure_optimizers(self) -> Any:
            optimizer = RunOptimizer(self._run)
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    monkeypatch.setattr(user_loops, "by_lightning", lambda run: fit(run, Scheduled(run)))
    with pytest.raises(RunFault, match="a scheduler changed the learning rate"):
        train(tmp_path, spec("by_lightning"))
