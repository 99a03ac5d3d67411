"""Learning rates that change from step to step."""

from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.optimizer import Schedule
from headrace_workers.faults import Interrupted
from headrace_workers.train.learner import Learner
from headrace_workers.train.schedule import part_of_rate
from tests.workers.train.builders import train_spec
from tests.workers.train.test_loop import Stop, last_tensors, train

RATE = 0.01
SCHEDULE = {"warmupSteps": 4, "decay": "Linear", "finalFraction": 0.2}


def rates(total: int = 12, **fields: Any) -> list[float]:
    schedule = Schedule.model_validate(fields)
    return [part_of_rate(schedule, step, total) for step in range(1, total + 1)]


def test_without_a_schedule_it_stays() -> None:
    """All of it, at every step."""
    assert [part_of_rate(None, step, 5) for step in range(1, 6)] == [1.0] * 5


def test_it_grows_evenly_and_stays() -> None:
    """The first step has a part of the rate already: with none of it nothing would be learnt."""
    assert rates(8, warmupSteps=4, decay="None") == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_it_falls_evenly_to_what_is_left() -> None:
    """From the end of the warm-up to the last step."""
    assert rates(12, **SCHEDULE) == pytest.approx([0.25, 0.5, 0.75, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])


def test_it_falls_like_torchs_cosine() -> None:
    """As CosineAnnealingLR has it, which counts from 0."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs, scheduler = [], torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
    for _ in range(12):
        optimizer.step()
        scheduler.step()
        theirs.append(optimizer.param_groups[0]["lr"])
    assert rates(12) == pytest.approx(theirs, abs=1e-9)


def test_a_warmup_may_outlast_the_run() -> None:
    """It is over at the last step then."""
    assert rates(4, warmupSteps=100) == [0.25, 0.5, 0.75, 1]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of the steps that are taken."""
    learn, rates_seen = Learner.learn, list[float]()

    def learns(self: Learner, *arguments: Any, **named: Any) -> Any:
        rates_seen.append(self.learning_rate)
        return learn(self, *arguments, **named)

    monkeypatch.setattr(Learner, "learn", learns)
    return rates_seen


def test_a_run_that_resumes_goes_on_in_it(tmp_path: Path, seen: list[float]) -> None:
    """Each step is taken with its own rate, and the run ends with the same bits as one that was not interrupted."""
    wanted = train_spec(optimizer={"learningRate": RATE, "schedule": SCHEDULE})
    train(tmp_path / "whole", wanted)
    assert seen == pytest.approx([RATE * part for part in rates(12, **SCHEDULE)])
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", wanted, should_stop=Stop())
    train(tmp_path / "parts", wanted)
    theirs = last_tensors(tmp_path / "whole")
    assert all(torch.equal(each, theirs[name]) for name, each in last_tensors(tmp_path / "parts").items())


def test_a_roll_back_shrinks_all_of_it(tmp_path: Path, seen: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of the learning rate follows the same schedule."""
    learn, spoilt = Learner.learn, list[int]()

    def learns(self: Learner, step: int, batch: torch.Tensor, **named: Any) -> Any:
        learned = learn(self, step, batch, **named)
        if step != 6 or spoilt:
            return learned
        spoilt.append(step)
        return type(learned)(learned.loss * float("nan"))

    monkeypatch.setattr(Learner, "learn", learns)
    back = {"onDivergence": {"rollBack": {"learningRateFactor": 0.5}}}
    train(tmp_path, train_spec(optimizer={"learningRate": RATE, "schedule": SCHEDULE}, recovery=back))
    assert seen[-1] == pytest.approx(RATE * 0.5 * 0.2)
