"""Tensors of a network's state as tensors that nobody else has."""

from collections.abc import Mapping

import torch


def own_copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous copies in the CPU's memory, one a name: tied weights share memory, which safetensors refuses."""
    copies = {name: _copy(each.detach()) for name, each in tensors.items()}
    if any(each.is_cuda for each in tensors.values()):
        torch.cuda.synchronize()
    return copies


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """Of one on a GPU by its own engine, into pinned memory, of which torch keeps what was given back for the next time."""
    if not tensor.is_cuda:
        return tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
