"""The loops over blocks as torch's operations, for devices that nothing else is compiled for. `blockwise.py` says what they do."""

import torch

SMALLEST_SCALE = 1e-30
"""As in `numba_kernels.py`."""


def encode(
    values: torch.Tensor, error: torch.Tensor, lost: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, bits: int, block: int
) -> None:  # fmt: skip
    """Encodes values + error into codes and scales; what that loses is in `lost`."""
    levels = 2 ** (bits - 1) - 1
    torch.add(values, error, out=lost)
    blocks = lost.view(-1, block)
    largest = blocks.abs().amax(dim=1)
    # amax keeps what is not a number; an infinite scale would make zeros of its block.
    largest = torch.where(torch.isfinite(largest), largest, torch.nan)
    scales.copy_(torch.where(largest / levels < SMALLEST_SCALE, 1.0, largest / levels))
    rounded = torch.round(blocks / scales.view(-1, 1))
    blocks.sub_(rounded * scales.view(-1, 1))
    whole = (torch.nan_to_num(rounded) + (levels + 1)).to(torch.uint8)
    if bits == 4:
        whole = whole[:, : block // 2] | (whole[:, block // 2 :] << 4)
    codes.copy_(whole.reshape(-1))


def add(codes: torch.Tensor, scales: torch.Tensor, out: torch.Tensor, bits: int, block: int) -> None:
    """Adds what codes and scales stand for to `out`."""
    whole = codes.view(len(scales), -1)
    if bits == 4:
        whole = torch.cat([whole & 15, whole >> 4], dim=1)
    out.view(-1, block).add_((whole.float() - 2 ** (bits - 1)) * scales.view(-1, 1))
