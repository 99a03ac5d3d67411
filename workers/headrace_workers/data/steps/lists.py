"""A column of lists of numbers, each of its own length, as numpy arrays and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace_workers.data.steps.numbers import is_list, is_number
from headrace_workers.data.steps.step import column_of
from headrace_workers.faults import RunFault

LISTS = pa.list_(pa.float32())


def arrays_of(table: pa.Table, name: str, place: str) -> list[np.ndarray]:
    """Each list as float32; RunFault where they are no lists of numbers, or one is missing."""
    column = column_of(table, name, place).combine_chunks()
    if not (is_list(column.type) and is_number(column.type.value_type)):
        raise RunFault(
            "WrongColumnType",
            f"{place} needs lists of numbers in the column {name}, which holds {column.type}; name another column",
        )
    if column.null_count:
        raise RunFault("MissingValues", f"{place} meets missing values in the column {name}; put validate before it")
    values = column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    ends = np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))
    return np.split(values, ends[:-1]) if len(ends) else []


def column_of_arrays(arrays: Sequence[np.ndarray]) -> pa.Array:
    """Arrays of any shape, each as one flat list of float32."""
    ends = np.cumsum([0, *(array.size for array in arrays)], dtype=np.int64)
    flat = np.concatenate([np.zeros(0, np.float32), *(array.reshape(-1) for array in arrays)])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, pa.float32()))


def with_lists(table: pa.Table, name: str, lists: pa.Array, metadata: Mapping[bytes, bytes]) -> pa.Table:
    """The table with a column of lists added, and what is to be known of it."""
    return table.append_column(pa.field(name, LISTS, metadata=dict(metadata)), lists)


def require_new(table: pa.Table, settings: Any, place: str) -> None:
    """RunFault ColumnExists if the column that a step would add is there already."""
    if settings.into in table.column_names:
        raise RunFault(
            "ColumnExists",
            f"{place} would add the column {settings.into}, which is there already; write another name in into",
        )
