"""The Trainer of transformers in a loop of the user's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="the Trainer needs accelerate: requirements/transformers.txt")

import transformers

from headrace_workers.faults import RunFault
from headrace_workers.train.frameworks.transformers import RunTrainer
from headrace_workers.train.own_loop import Batch, Run
from tests.workers.train import user_loops
from tests.workers.train.frameworks.likeness import require_like_built_in, require_resumed_alike, spec
from tests.workers.train.test_loop import train


class WithLoss(torch.nn.Module):
    """Answers as models of transformers do, whose parameters are the run's."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The mean loss of a batch."""
        return {"loss": torch.nn.functional.cross_entropy(self.network(inputs).float(), labels)}


def named(batch: Batch) -> dict[str, torch.Tensor]:
    return {"inputs": batch.inputs, "labels": batch.targets}


def by_trainer(run: Run) -> None:
    """What a user writes."""
    RunTrainer(run, WithLoss(run.module), named).train()


@pytest.fixture(autouse=True)
def loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_loops, "by_trainer", by_trainer, raising=False)


@pytest.mark.parametrize("changes", [{}, {"microBatchSize": 10}, {"precision": "BFloat16"}, {"precision": "Float16"}])
def test_it_comes_to_what_training_comes_to(tmp_path: Path, changes: dict[str, Any]) -> None:
    """The same weights as without it, in parts and scaled too."""
    require_like_built_in(tmp_path, "by_trainer", changes)


def test_callbacks_hear_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they always do."""
    heard: list[int] = []

    class Hears(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            heard.append(state.global_step)

    def train_loudly(run: Run) -> None:
        RunTrainer(run, WithLoss(run.module), named, {"logging_steps": 5}, callbacks=[Hears()]).train()

    monkeypatch.setattr(user_loops, "by_trainer", train_loudly)
    train(tmp_path, spec("by_trainer"))
    assert heard == list(range(1, 13))


def test_a_stop_is_saved_and_gone_on_from(tmp_path: Path) -> None:
    """The Trainer is left by the way of an exception, and begins anew with the run's state."""
    require_resumed_alike(tmp_path, "by_trainer")


def test_what_the_manifest_decides_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clipping in two places would clip twice."""

    def clips(run: Run) -> None:
        RunTrainer(run, WithLoss(run.module), named, {"max_grad_norm": 1.0}).train()

    monkeypatch.setattr(user_loops, "by_trainer", clips)
    with pytest.raises(RunFault, match="max_grad_norm of TrainingArguments is decided by the TrainJob"):
        train(tmp_path, spec("by_trainer"))
