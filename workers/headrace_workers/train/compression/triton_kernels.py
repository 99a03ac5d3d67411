"""The loops over blocks that Triton compiles for CUDA: one pass over the memory each. `blockwise.py` says what they do.

Tensors are float32, codes uint8, all contiguous on one device; lengths are multiples of `block`, which is even. A program
takes several blocks, each as two halves, which is how four-bit codes lie in their bytes. Triton looks at annotations, so
what is no constant has none.
"""

import torch
import triton
import triton.language as tl

PROGRAM_VALUES = 2048
"""Values that one program takes, at least; a block is never divided."""


@triton.jit
def _encode(
    values, error, lost, codes, scales, blocks, half,
    bits: tl.constexpr, each: tl.constexpr, width: tl.constexpr,
) -> None:  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * each + tl.arange(0, each)
    columns = tl.arange(0, width)[None, :]
    inside = (rows < blocks)[:, None] & (columns < half)
    first = rows[:, None] * (2 * half) + columns
    second = first + half
    low = tl.load(values + first, inside, 0.0) + tl.load(error + first, inside, 0.0)
    high = tl.load(values + second, inside, 0.0) + tl.load(error + second, inside, 0.0)
    largest = tl.max(tl.maximum(tl.abs(low), tl.abs(high)), axis=1)
    # Zero, unless a value is not finite: then the scale is not a number.
    bad = tl.sum(low * 0.0 + high * 0.0, axis=1)
    scale = largest / (2 ** (bits - 1) - 1) + bad
    scale = tl.where(scale < 1e-30, 1.0, scale)
    tl.store(scales + rows, scale, rows < blocks)
    inverse = (1.0 / scale)[:, None]
    scale = scale[:, None]
    # Added to a float32 of magnitude below 2^22 and taken away again, this rounds to the nearest whole number.
    whole_low = (low * inverse + 12582912.0) - 12582912.0
    whole_high = (high * inverse + 12582912.0) - 12582912.0
    tl.store(lost + first, low - whole_low * scale, inside)
    tl.store(lost + second, high - whole_high * scale, inside)
    code_low = (whole_low.to(tl.int32) + 2 ** (bits - 1)) & 255
    code_high = (whole_high.to(tl.int32) + 2 ** (bits - 1)) & 255
    if bits == 4:
        pair = (code_low & 15) | ((code_high & 15) << 4)
        tl.store(codes + rows[:, None] * half + columns, pair.to(tl.uint8), inside)
    else:
        tl.store(codes + first, code_low.to(tl.uint8), inside)
        tl.store(codes + second, code_high.to(tl.uint8), inside)


@triton.jit
def _add(
    codes, scales, out, blocks, half,
    bits: tl.constexpr, each: tl.constexpr, width: tl.constexpr,
) -> None:  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * each + tl.arange(0, each)
    columns = tl.arange(0, width)[None, :]
    inside = (rows < blocks)[:, None] & (columns < half)
    first = rows[:, None] * (2 * half) + columns
    second = first + half
    scale = tl.load(scales + rows, rows < blocks, 0.0)[:, None]
    if bits == 4:
        pair = tl.load(codes + rows[:, None] * half + columns, inside, 0).to(tl.int32)
        low, high = pair & 15, pair >> 4
    else:
        low = tl.load(codes + first, inside, 0).to(tl.int32)
        high = tl.load(codes + second, inside, 0).to(tl.int32)
    zero = 2 ** (bits - 1)
    tl.store(out + first, tl.load(out + first, inside, 0.0) + (low - zero).to(tl.float32) * scale, inside)
    tl.store(out + second, tl.load(out + second, inside, 0.0) + (high - zero).to(tl.float32) * scale, inside)


def encode(
    values: torch.Tensor, error: torch.Tensor, lost: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, bits: int, block: int
) -> None:  # fmt: skip
    """Encodes values + error into codes and scales; what that loses is in `lost`."""
    grid, shape = _programs(scales.numel(), block)
    _encode[grid](values, error, lost, codes, scales, scales.numel(), block // 2, bits=bits, **shape)


def add(codes: torch.Tensor, scales: torch.Tensor, out: torch.Tensor, bits: int, block: int) -> None:
    """Adds what codes and scales stand for to `out`."""
    grid, shape = _programs(scales.numel(), block)
    _add[grid](codes, scales, out, scales.numel(), block // 2, bits=bits, **shape)


def _programs(blocks: int, block: int) -> tuple[tuple[int], dict[str, int]]:
    width = triton.next_power_of_2(block // 2)
    rows = max(1, PROGRAM_VALUES // (2 * width))
    return (triton.cdiv(blocks, rows),), {"each": rows, "width": width}
