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


class ExplodesOnce(torch.nn.Module):
    """Answers what is no number when a process calls it for the 30th time in training, whichever of them it calls."""

    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8) to (n, 3)."""
        ExplodesOnce.calls += self.training
        answers = self.linear(inputs)
        return answers * float("nan") if self.training and ExplodesOnce.calls == 30 else answers


def explodes_once() -> torch.nn.Module:
    """A network whose loss diverges once in each process."""
    return ExplodesOnce()


def masked() -> torch.nn.Module:
    """A network with a buffer of infinities, as attention has."""
    network = torch.nn.Sequential(torch.nn.Linear(8, 3))
    network.register_buffer("mask", torch.full((3, 3), float("-inf")))
    return network


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


class Blocks(torch.nn.Module):
    """Residual blocks with dropout, in a list."""

    def __init__(self, blocks: int, hidden: int, *, norm: bool) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, hidden)
        norms = torch.nn.BatchNorm1d if norm else torch.nn.LayerNorm
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(
                norms(hidden),
                torch.nn.Linear(hidden, 4 * hidden),
                torch.nn.GELU(),
                torch.nn.Dropout(0.2),
                torch.nn.Linear(4 * hidden, hidden),
            )
            for _ in range(blocks)
        )
        self.last = torch.nn.Linear(hidden, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8) to (n, 3)."""
        hidden = self.first(inputs)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


def blocks(blocks: int = 4, hidden: int = 32, *, norm: bool = False) -> torch.nn.Module:
    """A network whose activations are worth computing twice."""
    return Blocks(blocks, hidden, norm=norm)
