"""Gradients travel as bfloat16: half the bytes, three decimal digits, the full range of float32."""

from collections.abc import Mapping

import torch

from headrace_workers.train.compression.base import GradientExchange


class BFloat16Exchange(GradientExchange):
    """The average of the gradients rounded to bfloat16."""

    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Divides before the sum, so that no partial sum leaves the range."""
        with self.encoding(flat):
            short = (flat / self.world_size).to(torch.bfloat16)
        self.add_up(short)
        with self.encoding(flat):
            flat.copy_(short)
