"""When a training loss has diverged: it is not finite, or ten steps' mean is far above what it was over the 200 before.

What is judged follows from steps alone, never from when ranks happen to talk, so that a run goes back at the same place
however fast it is. The ranks know each other's losses when they have talked, and come to the same verdict without a word.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Annotated

import torch
from pydantic import Field

from headrace.api.base import Model
from headrace.api.run_report import RolledBack
from headrace_workers.faults import RunFault

STRETCH_STEPS = 10
RECENT_STRETCHES = 20
FEWEST_STRETCHES = 5
"""Before there are so many, nothing is far above them."""


class Diverged(Model):
    """What diverged, and how far back it was still well."""

    reason: Annotated[str, Field(description="The fact in one word.")]
    message: Annotated[str, Field(description="The fact in a few words.")]
    good_until: Annotated[int, Field(ge=0, description="Checkpoints of later steps are not gone back to.")]

    def undone(self, from_step: int, to_step: int, learning_rate: float) -> RolledBack:
        """The roll-back that undoes it."""
        return RolledBack(
            from_step=from_step, to_step=to_step, learning_rate=learning_rate, reason=self.reason, message=self.message
        )


def hopeless(diverged: Diverged, tried: Sequence[RolledBack] | None) -> RunFault:
    """The end of a run that may not go back, or that has gone back so many times."""
    if tried is None:
        advice = "lower optimizer.learningRate, look for values that are not finite in the dataset, or have recovery.onDivergence roll back"
        return RunFault(diverged.reason, f"{diverged.message}; {advice}")
    last = tried[-1]
    spent = f"after {len(tried)} roll-backs, the last one to step {last.to_step} with learning rate {last.learning_rate:g}: recovery.onDivergence.rollBack.times is spent"
    advice = "lower optimizer.learningRate, or look for values that are not finite in the dataset"
    return RunFault(diverged.reason, f"{diverged.message}, {spent}; {advice}")


class LossHistory(Model):
    """The losses that are known to all ranks."""

    step: Annotated[int, Field(ge=0, description="The last step that they cover.")] = 0
    means: Annotated[tuple[float, ...], Field(description="The means over the last whole stretches.")] = ()
    loss: Annotated[float, Field(description="The sum of losses of the stretch that is not whole yet.")] = 0.0
    steps: Annotated[float, Field(ge=0, description="The steps of that sum.")] = 0.0


def are_finite(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether all of them are: by their largest magnitudes, which takes one pass and no memory."""
    floats = (each.detach() for each in tensors if each.is_floating_point() and each.numel())
    return all(math.isfinite(float(torch.linalg.vector_norm(each, math.inf))) for each in floats)


class LossWatch:
    """Adds this rank's shares of the losses up by stretches, and looks at all ranks' sums; without a factor it does neither."""

    def __init__(self, factor: float | None, history: LossHistory) -> None:
        """A stretch has diverged whose mean is more than `factor` times the median of those before."""
        self.history = history
        self._factor = factor
        self._shares: dict[int, tuple[torch.Tensor, float]] = {}

    def add(self, step: int, share: torch.Tensor, part: float) -> None:
        """Counts one step: this rank's share of the mean loss over the global batch, and the part of the batch that it had."""
        if self._factor is None:
            return
        loss, parts = self._shares.get(_stretch(step), (torch.zeros_like(share, dtype=torch.float64), 0.0))
        self._shares[_stretch(step)] = (loss + share, parts + part)

    def share(self, step: int) -> torch.Tensor:
        """For the sum over ranks: two numbers for each stretch between the last talk and this step.

        A rank that is lost takes its shares of both along, so that their quotient stays a mean.
        """
        if self._factor is None:
            return torch.zeros(0, dtype=torch.float64)
        shares = (self._shares.get(number, (0.0, 0.0)) for number in self._stretches(step))
        return torch.tensor([[float(loss), parts] for loss, parts in shares], dtype=torch.float64).flatten()

    def take(self, step: int, sums: torch.Tensor) -> Diverged | None:
        """Takes all ranks' sums up to the step; what has diverged, if anything has."""
        if self._factor is None:
            return None
        means, (loss, steps) = self.history.means, (self.history.loss, self.history.steps)
        for number, (more_loss, more_steps) in zip(self._stretches(step), sums.view(-1, 2).tolist(), strict=True):
            loss, steps = loss + more_loss, steps + more_steps
            if step < (number + 1) * STRETCH_STEPS:
                break
            mean = loss / steps if steps else 0.0
            usual = statistics.median(means) if len(means) >= FEWEST_STRETCHES else 0.0
            if usual and mean > self._factor * usual:
                return _spike(number, mean, usual)
            means, loss, steps = (*means, mean)[-RECENT_STRETCHES:], 0.0, 0.0
        self.history = LossHistory(step=step, means=means, loss=loss, steps=steps)
        self._shares = {}
        return None

    def _stretches(self, step: int) -> range:
        return range(_stretch(self.history.step + 1), _stretch(step) + 1)


def _stretch(step: int) -> int:
    return (step - 1) // STRETCH_STEPS


def _spike(number: int, mean: float, usual: float) -> Diverged:
    start, end = number * STRETCH_STEPS, (number + 1) * STRETCH_STEPS
    message = f"the training loss is {mean:.3g} in the mean of steps {start + 1} to {end}, {mean / usual:.3g} times what it was before"
    return Diverged(reason="LossSpiked", message=message, good_until=start)
