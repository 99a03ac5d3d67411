"""Columns of numbers, or of lists of numbers of one length, as numpy arrays and back."""

import numpy as np
import pyarrow as pa

from headrace_workers.data.steps.step import column_of
from headrace_workers.faults import RunFault


def is_list(kind: pa.DataType) -> bool:
    """Whether values of this type are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def array_of(table: pa.Table, name: str, place: str) -> np.ndarray:
    """The column as float64, of shape (records,) or (records, elements); RunFault where it cannot be."""
    column = column_of(table, name, place).combine_chunks()
    kind = column.type
    if not (is_number(kind) or (is_list(kind) and is_number(kind.value_type))):
        raise RunFault(
            "WrongColumnType",
            f"{place} needs numbers or lists of numbers in the column {name}, which holds {kind}; name another column",
        )
    if column.null_count:
        raise RunFault(
            "MissingValues", f"{place} meets missing values in the column {name}; put fillMissing or validate before it"
        )
    if not is_list(kind):
        return np.asarray(column.cast(pa.float64()))
    values = column.flatten()
    if values.null_count:
        raise RunFault(
            "MissingValues", f"{place} meets lists with missing elements in the column {name}; repair the source"
        )
    lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise RunFault(
            "UnequalLengths",
            f"{place} needs lists of one length in the column {name}, which has lengths {lengths[0]} to {lengths[-1]}; "
            f"put validate with length before it",
        )
    return np.asarray(values.cast(pa.float64())).reshape(len(column), -1)


def column_from(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """An array of shape (records,) or (records, elements) as a column of this type."""
    if values.ndim == 1:
        return pa.array(values).cast(kind)
    rows, width = values.shape
    flat = pa.array(values.reshape(-1)).cast(kind.value_type, safe=False)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, width)
    whole = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return whole.from_arrays(
        np.arange(rows + 1, dtype=np.int64 if pa.types.is_large_list(kind) else np.int32) * width, flat
    )
