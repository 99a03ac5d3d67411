"""Networks as users write them, good and bad."""

import time

import torch


class FailsInStep3(torch.nn.Module):
    """Raises when it is called for the third time in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 3)
        self.calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8) to (n, 3)."""
        self.calls += self.training
        if self.calls == 3:
            raise ValueError("no more")
        return self.linear(inputs)


def fails_in_step_3() -> torch.nn.Module:
    """A network with a bug."""
    return FailsInStep3()


class Slow(torch.nn.Module):
    """Sleeps in every forward pass of training."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 3)
        self.seconds = seconds

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8) to (n, 3)."""
        if self.training:
            time.sleep(self.seconds)
        return self.linear(inputs)


def slow(seconds: float) -> torch.nn.Module:
    """A network that takes its time."""
    return Slow(seconds)


def linear(inputs: int, outputs: int) -> torch.nn.Module:
    """A network without one."""
    return torch.nn.Linear(inputs, outputs)


def returns_nothing() -> None:
    """Forgets to return."""


def raises() -> torch.nn.Module:
    """Fails while it is built."""
    raise KeyError("width")
