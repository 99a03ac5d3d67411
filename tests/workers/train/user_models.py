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


class Loud(torch.nn.Module):
    """Has gradients that float16 cannot hold at the first loss scale; a norm has statistics that every step moves."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(8, 16)
        self.norm = torch.nn.BatchNorm1d(16) if norm else torch.nn.Identity()
        self.outer = torch.nn.Linear(16, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8) to (n, 3)."""
        return self.outer(self.norm(self.inner(inputs))) * 200


def loud(*, norm: bool = False) -> torch.nn.Module:
    """A network that skips its first steps in Float16."""
    return Loud(norm)


def returns_nothing() -> None:
    """Forgets to return."""


def raises() -> torch.nn.Module:
    """Fails while it is built."""
    raise KeyError("width")
