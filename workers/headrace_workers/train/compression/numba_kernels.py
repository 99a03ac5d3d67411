"""The loops over blocks that numba compiles for CPUs: one pass over the memory each. `blockwise.py` says what they do.

Arrays are float32, codes uint8; lengths are multiples of `block`, which is even.
"""

from typing import Any

import torch
from numba import njit
from numpy import float32, int32, uint8

Array = Any
"""One-dimensional, of numpy."""

compiled = njit(nogil=True, error_model="numpy")

ROUNDER = float32(12582912.0)
"""Added to a float32 of magnitude below 2^22 and taken away again, it rounds to the nearest whole number."""


SMALLEST_SCALE = float32(1e-30)
"""The inverse of a smaller one is infinite; such a block is zero, and stays in the error."""


@njit(nogil=True, error_model="numpy", inline="always")
def scale_of(values: Array, error: Array, lost: Array, start: int, block: int, levels: float) -> Any:
    """Puts a block's values and errors, added, into what is to be lost of it; returns its scale, which is not a number where a value is not finite."""
    largest = float32(0)
    bad = float32(0)
    for i in range(start, start + block):
        value = values[i] + error[i]
        lost[i] = value
        largest = max(largest, abs(value))
        bad += value * float32(0)
    scale = largest / levels + bad
    return float32(1) if scale < SMALLEST_SCALE else scale


@compiled
def encode4(values: Array, error: Array, lost: Array, codes: Array, scales: Array, block: int) -> None:
    """Two values a byte: the first half of a block in the low bits, the second in the high ones."""
    half = block // 2
    for b in range(scales.size):
        start = b * block
        scale = scale_of(values, error, lost, start, block, float32(7))
        scales[b] = scale
        inverse = float32(1) / scale
        for i in range(half):
            low, high = lost[start + i], lost[start + half + i]
            first = (low * inverse + ROUNDER) - ROUNDER
            second = (high * inverse + ROUNDER) - ROUNDER
            lost[start + i] = low - first * scale
            lost[start + half + i] = high - second * scale
            codes[b * half + i] = uint8(int32(first) + 8) | uint8((int32(second) + 8) << 4)


@compiled
def encode8(values: Array, error: Array, lost: Array, codes: Array, scales: Array, block: int) -> None:
    """One value a byte."""
    for b in range(scales.size):
        start = b * block
        scale = scale_of(values, error, lost, start, block, float32(127))
        scales[b] = scale
        inverse = float32(1) / scale
        for i in range(start, start + block):
            value = lost[i]
            whole = (value * inverse + ROUNDER) - ROUNDER
            lost[i] = value - whole * scale
            codes[i] = uint8(int32(whole) + 128)


@compiled
def add4(codes: Array, scales: Array, out: Array, block: int) -> None:
    """Adds what two values a byte stand for."""
    half = block // 2
    for b in range(scales.size):
        start, scale = b * block, scales[b]
        for i in range(half):
            pair = int32(codes[b * half + i])
            out[start + i] += float32((pair & 15) - 8) * scale
            out[start + half + i] += float32((pair >> 4) - 8) * scale


@compiled
def add8(codes: Array, scales: Array, out: Array, block: int) -> None:
    """Adds what one value a byte stands for."""
    for b in range(scales.size):
        scale = scales[b]
        for i in range(b * block, (b + 1) * block):
            out[i] += float32(int32(codes[i]) - 128) * scale


def encode(
    values: torch.Tensor, error: torch.Tensor, lost: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, bits: int, block: int
) -> None:  # fmt: skip
    """Encodes values + error into codes and scales; what that loses is in `lost`."""
    compiled_loop = encode4 if bits == 4 else encode8
    compiled_loop(values.numpy(), error.numpy(), lost.numpy(), codes.numpy(), scales.numpy(), block)


def add(codes: torch.Tensor, scales: torch.Tensor, out: torch.Tensor, bits: int, block: int) -> None:
    """Adds what codes and scales stand for to `out`."""
    compiled_loop = add4 if bits == 4 else add8
    compiled_loop(codes.numpy(), scales.numpy(), out.numpy(), block)
