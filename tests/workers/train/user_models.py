"""Networks as users write them, good and bad."""

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


def returns_nothing() -> None:
    """Forgets to return."""


def raises() -> torch.nn.Module:
    """Fails while it is built."""
    raise KeyError("width")
