"""Signatures of records that are equal when the records are: BLAKE2 over the values of the chosen columns.

128 bits: among 10 billion records, two that differ share one with a chance below 1 in 10^18.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from headrace.api.steps import Exact
from headrace_workers.data.steps.numbers import is_list
from headrace_workers.data.steps.step import column_of

SIGNATURE_BYTES = 16
WORDS = np.dtype([("a", "<u8"), ("b", "<u8")])


def signatures(table: pa.Table, settings: Exact, place: str) -> pa.Array:
    """One signature a record, over the chosen columns, or all but id."""
    names = settings.columns or tuple(sorted(name for name in table.column_names if name != "id"))
    parts = [_bytes_of(column_of(table, name, place).combine_chunks()) for name in names]
    hashes = []
    for row in range(table.num_rows):
        hashed = blake2b(digest_size=SIGNATURE_BYTES)
        for part in parts:
            value = part(row)
            # With its length before it, a value cannot run into the next.
            hashed.update(b"-" if value is None else len(value).to_bytes(8, "big"))
            hashed.update(value or b"")
        hashes.append(hashed.digest())
    return pa.array(hashes, pa.binary(SIGNATURE_BYTES))


def first_of_each(signatures: Iterable[pa.Array], settings: Exact) -> np.ndarray:
    """For each record whether no earlier one has its signature; signatures come piece by piece."""
    words = np.concatenate([_words(piece) for piece in signatures] or [np.zeros(0, WORDS)])
    kept = np.zeros(len(words), dtype=bool)
    kept[np.unique(words, return_index=True)[1]] = True
    return kept


def _words(signatures: pa.Array) -> np.ndarray:
    data = signatures.buffers()[1]
    return np.frombuffer(data, WORDS, len(signatures), signatures.offset * SIGNATURE_BYTES).copy()


def _bytes_of(column: pa.Array) -> Callable[[int], bytes | None]:
    kind = column.type
    if (
        (pa.types.is_list(kind) or pa.types.is_large_list(kind))
        and pa.types.is_primitive(kind.value_type)
        and not column.values.null_count
    ):
        values, offsets = column.values.to_numpy(zero_copy_only=False), column.offsets.to_numpy()
        valid = np.asarray(column.is_valid())
        return lambda row: values[offsets[row] : offsets[row + 1]].tobytes() if valid[row] else None
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind) and not column.null_count:
        numbers = column.to_numpy(zero_copy_only=False)
        return lambda row: numbers[row].tobytes()
    if is_list(kind) or pa.types.is_nested(kind):
        return lambda row: json.dumps(column[row].as_py(), default=str, sort_keys=True).encode()
    texts = [None if value is None else str(value).encode() for value in column.to_pylist()]
    return lambda row: texts[row]
