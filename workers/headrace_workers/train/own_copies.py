"""Tensors of a network's state as tensors that nobody else has."""

from collections.abc import Mapping

import torch


def own_copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous copies in the CPU's memory, one a name: tied weights share memory, which safetensors refuses."""
    return {
        name: each.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, each in tensors.items()
    }
