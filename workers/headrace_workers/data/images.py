"""Images in a table: lists of numbers whose height and width travel in the column's metadata."""

import json
import math
from collections.abc import Sequence

import pyarrow as pa

SHAPE_KEY = b"headrace.shape"


def shape_metadata(shape: Sequence[int]) -> dict[bytes, bytes]:
    """The metadata of an image column of this shape."""
    return {SHAPE_KEY: json.dumps(list(shape)).encode()}


def shape_of(field: pa.Field, length: int | None = None) -> tuple[int, ...] | None:
    """The shape that the column's metadata names, else the square with `length` pixels, else None."""
    if field.metadata and SHAPE_KEY in field.metadata:
        return tuple(json.loads(field.metadata[SHAPE_KEY]))
    if length is None:
        return None
    side = math.isqrt(length)
    return (side, side) if side and side * side == length else None
