"""The optimizer that trainers of other libraries are given."""

from pathlib import Path
from typing import Any

import pytest
from torch.nn.functional import cross_entropy

from headrace_workers.faults import RunFault
from headrace_workers.train.frameworks.run_optimizer import RunOptimizer
from headrace_workers.train.own_loop import Run
from tests.workers.train import user_loops
from tests.workers.train.frameworks.likeness import require_like_built_in, spec
from tests.workers.train.test_loop import train


def by_hand(run: Run, *, rate: float | None = None) -> None:
    """A loop as people write it around an optimizer."""
    optimizer = RunOptimizer(run)
    for batch in run.batches():
        # Takes gradients off their parameters, where those of earlier batches of the step are.
        run.module.zero_grad()
        run.backward(cross_entropy(run.network(batch.inputs), batch.targets))
        if rate:
            optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(autouse=True)
def loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_loops, "by_hand", by_hand, raising=False)


@pytest.mark.parametrize("changes", [{}, {"microBatchSize": 10}])
def test_its_step_is_the_runs(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Zeroing by habit does no harm."""
    require_like_built_in(tmp_path, "by_hand", changes)


def test_another_learning_rate_is_refused(tmp_path: Path) -> None:
    """The run would not follow it."""
    with pytest.raises(RunFault, match="a scheduler changed the learning rate"):
        train(tmp_path, spec("by_hand", {"rate": 0.5}))


def test_a_roll_back_is_refused(tmp_path: Path) -> None:
    """It makes another network, of which the library does not know."""
    with pytest.raises(RunFault, match="rollBack makes a new network"):
        train(tmp_path, spec("by_hand", recovery={"onDivergence": {"rollBack": {}}}))
