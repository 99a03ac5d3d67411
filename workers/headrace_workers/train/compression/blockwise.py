"""Blocks of floats as small integers and one scale: what a block loses is handed back, to be added the next time.

Symmetric rounding to nearest: a block's scale is its largest magnitude over 7 (4 bits) or 127 (8 bits). A block with a
value that is not finite comes out as not a number, so that a diverged run is seen. On CPU the loops are compiled by
numba (2 million values take 3 ms, and torch's own operations 32), for CUDA by Triton; elsewhere torch's operations do the
same.
"""

from dataclasses import dataclass
from types import ModuleType

import torch


@dataclass(frozen=True)
class Blockwise:
    """A code of 4 or 8 bits for each value and a float32 scale for each `block` values, which divides all lengths."""

    bits: int
    block: int

    def code_bytes(self, values: int) -> int:
        """The bytes of so many values' codes."""
        return values * self.bits // 8

    def scales(self, values: int) -> int:
        """How many scales so many values have."""
        return values // self.block

    def encode(
        self, values: torch.Tensor, error: torch.Tensor, lost: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor
    ) -> None:
        """Encodes values + error (float32, contiguous) into codes (uint8) and scales (float32); what that loses is in `lost`."""
        kernels_for(values.device).encode(values, error, lost, codes, scales, self.bits, self.block)

    def add(self, codes: torch.Tensor, scales: torch.Tensor, out: torch.Tensor) -> None:
        """Adds what codes and scales stand for to `out` (float32, contiguous)."""
        kernels_for(out.device).add(codes, scales, out, self.bits, self.block)

    def warm_up(self) -> None:
        """Compiles the loops for the CPU, which takes a second or two, before anybody waits for a step."""
        values, error, lost = torch.zeros(self.block), torch.zeros(self.block), torch.zeros(self.block)
        codes, scales = torch.zeros(self.code_bytes(self.block), dtype=torch.uint8), torch.zeros(1)
        self.encode(values, error, lost, codes, scales)
        self.add(codes, scales, values)


def kernels_for(device: torch.device) -> ModuleType:
    """The module with `encode` and `add` for a device."""
    # Imported when they are needed: numba takes half a second, and Triton has builds only where torch has CUDA.
    if device.type == "cpu":
        from headrace_workers.train.compression import numba_kernels

        return numba_kernels
    if device.type == "cuda":
        from headrace_workers.train.compression import triton_kernels

        return triton_kernels
    from headrace_workers.train.compression import torch_kernels

    return torch_kernels
