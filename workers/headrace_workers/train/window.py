"""The training loss between two points of the curve, and the rhythm in which ranks talk to each other.

Ranks must agree on which steps they talk at, so the next one follows from numbers that all of them have.
"""

import time

import torch

TALK_SECONDS = 0.5
SOON_SECONDS = 0.1
MOST_STEPS_BETWEEN_TALKS = 500


class Window:
    """Adds up this rank's share of the losses, and all ranks' at each talk."""

    def __init__(self, loss: float = 0.0, steps: float = 0.0, rate: float = 0.0) -> None:
        """Goes on from a sum of losses over all ranks."""
        self.loss = loss
        self.steps = steps
        self.rate = rate
        self._share: torch.Tensor | None = None
        self._share_steps = 0.0
        self.own_steps = 0
        """This rank's, since the last talk."""
        self._since = time.monotonic()

    def add(self, share: torch.Tensor, part: float, *, skipped: bool = False) -> None:
        """Counts one step: this rank's share of the mean loss over the global batch, and the part of the batch that it had.

        A step that was skipped because its very loss was lost has nothing to say.
        """
        self.own_steps += 1
        if skipped and not share.isfinite():
            return
        self._share = share.double() if self._share is None else self._share + share
        self._share_steps += part

    @property
    def share(self) -> torch.Tensor:
        """Three numbers, for the sum over ranks: this rank's share of the losses and of the steps since the last talk, and the seconds a step.

        A rank that is lost takes its shares of both along, so that the mean stays one.
        """
        seconds = (time.monotonic() - self._since) / max(self.own_steps, 1)
        loss = 0.0 if self._share is None else float(self._share)
        return torch.tensor([loss, self._share_steps, seconds], dtype=torch.float64)

    def take(self, loss: float, steps: float, seconds_a_step: float) -> int:
        """Takes the sums over all ranks and their mean seconds a step; returns the steps until the next talk."""
        self.loss += loss
        self.steps += steps
        self.rate = 1.0 / seconds_a_step if seconds_a_step > 0 else 0.0
        self._share, self._share_steps, self.own_steps, self._since = None, 0.0, 0, time.monotonic()
        return self._steps_in(TALK_SECONDS)

    @property
    def soon(self) -> int:
        """The steps until the next talk where something is waited for."""
        return self._steps_in(SOON_SECONDS)

    def _steps_in(self, seconds: float) -> int:
        return min(MOST_STEPS_BETWEEN_TALKS, max(1, int(seconds * self.rate)))

    @property
    def mean(self) -> float:
        """The mean loss a step since the last point, to six digits: more would differ with the order of additions."""
        return float(f"{self.loss / self.steps:.6g}") if self.steps else 0.0

    def close_point(self) -> None:
        """Starts the next point."""
        self.loss, self.steps = 0.0, 0.0
