"""Images and sound in a table: lists of numbers whose shape, and samples a second, travel in the column's metadata."""

import json
import math
from collections.abc import Sequence

import pyarrow as pa

SHAPE_KEY = b"headrace.shape"
RATE_KEY = b"headrace.sampleRate"


def shape_metadata(shape: Sequence[int]) -> dict[bytes, bytes]:
    """The metadata of a column of lists of this shape."""
    return {SHAPE_KEY: json.dumps(list(shape)).encode()}


def rate_metadata(rate: int) -> dict[bytes, bytes]:
    """The metadata of a column of sounds of so many samples a second."""
    return {RATE_KEY: str(rate).encode()}


def rate_of(field: pa.Field) -> int | None:
    """The samples a second that the column's metadata name, if it is one of sounds."""
    return int(field.metadata[RATE_KEY]) if field.metadata and RATE_KEY in field.metadata else None


def shape_of(field: pa.Field, length: int | None = None) -> tuple[int, ...] | None:
    """The shape that the column's metadata names, else the square with `length` pixels, else None."""
    if field.metadata and SHAPE_KEY in field.metadata:
        return tuple(json.loads(field.metadata[SHAPE_KEY]))
    if length is None:
        return None
    side = math.isqrt(length)
    return (side, side) if side and side * side == length else None
