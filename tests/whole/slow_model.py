"""A perceptron that takes its time, so that a test can choose the moment at which it disturbs the training."""

import time

import torch


class SlowPerceptron(torch.nn.Module):
    """Sleeps in every forward pass of training; what it learns does not depend on how long."""

    def __init__(self, pause_seconds: float) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )
        self.pause_seconds = pause_seconds

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, 64) to (n, 10)."""
        if self.training:
            time.sleep(self.pause_seconds)
        return self.layers(inputs)


def build(pause_seconds: float = 0.0) -> torch.nn.Module:
    """What `model.module` names."""
    return SlowPerceptron(pause_seconds)
