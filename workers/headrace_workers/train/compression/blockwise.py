"""Blocks of floats as small integers and one scale: what a block loses is handed back, to be added the next time.

Symmetric rounding to nearest: a block's scale is its largest magnitude over 7 (4 bits) or 127 (8 bits). A block with a
value that is not finite comes out as not a number, so that a diverged run is seen. On CPU the loops are compiled by
numba (2 million values take 3 ms, and torch's own operations 32); elsewhere torch's operations do the same.
"""

from dataclasses import dataclass
from types import ModuleType

import torch

SMALLEST_SCALE = 1e-30
"""As in `kernels.py`."""


@dataclass(frozen=True)
class Blockwise:
    """A code of 4 or 8 bits for each value and a float32 scale for each `block` values, which divides all lengths."""

    bits: int
    block: int

    @property
    def levels(self) -> int:
        """The largest code: codes lie between its negative and itself."""
        return int(2 ** (self.bits - 1)) - 1

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
        if values.device.type == "cpu":
            encode = _kernels().encode4 if self.bits == 4 else _kernels().encode8
            encode(values.numpy(), error.numpy(), lost.numpy(), codes.numpy(), scales.numpy(), self.block)
            return
        torch.add(values, error, out=lost)
        blocks = lost.view(-1, self.block)
        largest = blocks.abs().amax(dim=1)
        # amax keeps what is not a number; an infinite scale would make zeros of its block.
        largest = torch.where(torch.isfinite(largest), largest, torch.nan)
        scales.copy_(torch.where(largest / self.levels < SMALLEST_SCALE, 1.0, largest / self.levels))
        rounded = torch.round(blocks / scales.view(-1, 1))
        blocks.sub_(rounded * scales.view(-1, 1))
        whole = torch.nan_to_num(rounded) + (self.levels + 1)
        if self.bits == 8:
            codes.copy_(whole.to(torch.uint8).view(-1))
        else:
            half = self.block // 2
            nibbles = whole.to(torch.uint8)
            codes.copy_((nibbles[:, :half] | (nibbles[:, half:] << 4)).reshape(-1))

    def add(self, codes: torch.Tensor, scales: torch.Tensor, out: torch.Tensor) -> None:
        """Adds what codes and scales stand for to `out` (float32, contiguous)."""
        if out.device.type == "cpu":
            add = _kernels().add4 if self.bits == 4 else _kernels().add8
            add(codes.numpy(), scales.numpy(), out.numpy(), self.block)
            return
        if self.bits == 8:
            whole = codes.view(-1, self.block)
        else:
            pairs = codes.view(-1, self.block // 2)
            whole = torch.cat([pairs & 15, pairs >> 4], dim=1)
        out.view(-1, self.block).add_((whole.float() - (self.levels + 1)) * scales.view(-1, 1))

    def warm_up(self) -> None:
        """Compiles the loops, which takes a second or two, before anybody waits for a step."""
        values, error, lost = torch.zeros(self.block), torch.zeros(self.block), torch.zeros(self.block)
        codes, scales = torch.zeros(self.code_bytes(self.block), dtype=torch.uint8), torch.zeros(1)
        self.encode(values, error, lost, codes, scales)
        self.add(codes, scales, values)


def _kernels() -> ModuleType:
    # Imported here: numba takes half a second, and only runs that quantise on CPU need it.
    from headrace_workers.train.compression import kernels

    return kernels
