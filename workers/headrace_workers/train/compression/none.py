"""Gradients travel as they are: the measure that the other methods are held against."""

from collections.abc import Mapping

import torch

from headrace_workers.train.compression.base import GradientExchange


class PlainExchange(GradientExchange):
    """The exact average."""

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Sums the bucket and divides."""
        self.add_up(flat)
        flat.div_(self.world_size)
