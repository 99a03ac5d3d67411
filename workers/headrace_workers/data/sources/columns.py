"""A column of Python's values: of one type if they have one, and otherwise text."""

import json
from typing import Any

import pyarrow as pa


def column_of_values(values: list[Any]) -> pa.Array:
    """The values as Arrow has them; a column of several types keeps every value, as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [value if value is None or isinstance(value, str) else json.dumps(value, default=str) for value in values],
            pa.string(),
        )
