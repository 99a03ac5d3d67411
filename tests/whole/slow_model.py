"""A perceptron that takes its time, so that a test can choose the moment at which it disturbs the training."""

import os
import time
from pathlib import Path

import torch


class SlowPerceptron(torch.nn.Module):
    """Sleeps in every forward pass of training; what it learns does not depend on how long.

    Six times as long on the pods whose names have the end that `slow_file` has for a text, while there is such a file.
    """

    def __init__(self, pause_seconds: float, slow_file: str) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )
        self.pause_seconds = pause_seconds
        self.slow_file = Path(slow_file) if slow_file else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 64) to (n, 10)."""
        if self.training:
            time.sleep(self.pause_seconds * (6 if self.is_slow else 1))
        return self.layers(inputs)

    @property
    def is_slow(self) -> bool:
        """Whether it was told to be."""
        if self.slow_file is None or not self.slow_file.exists():
            return False
        return os.environ["HEADRACE_POD_NAME"].endswith(self.slow_file.read_text())


def build(pause_seconds: float = 0.0, slow_file: str = "") -> torch.nn.Module:
    """What `model.module` names."""
    return SlowPerceptron(pause_seconds, slow_file)
