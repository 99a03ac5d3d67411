"""A network of a user that takes its time, for the test of draining."""

import time

import torch


class Slow(torch.nn.Module):
    """Answers ten zeros after `seconds`, but the first time at once."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.asked = False

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 8, 8) to (n, 10)."""
        time.sleep(self.seconds if self.asked else 0)
        self.asked = True
        return torch.zeros(len(inputs), 10)


def build(seconds: float) -> torch.nn.Module:
    """What `module: slow_model:build` names."""
    return Slow(seconds)
