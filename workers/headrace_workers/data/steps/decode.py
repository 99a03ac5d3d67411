"""What decodeSound and decodeImage share: a column of encoded bytes, each of which is decoded or goes to the quarantine.

Of bad records the quarantine has all but the bytes, which are where they were read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.steps.lists import column_of_arrays, require_new, with_lists
from headrace_workers.data.steps.step import Context, Outcome, column_of, records_of
from headrace_workers.faults import RunFault
from headrace_workers.media.undecodable import TooSmall, Undecodable

Decode = Callable[[bytes, Any], np.ndarray]


def decoded(table: pa.Table, settings: Any, decode: Decode, metadata: dict[bytes, bytes], context: Context) -> Outcome:
    """The table with the decoded column; without records that cannot be decoded, and those that are too small."""
    contents = _contents(table, settings.column, context)
    require_new(table, settings, context.place)
    kept: list[int] = []
    arrays: list[np.ndarray] = []
    broken: list[tuple[int, str, str]] = []
    for row, content in enumerate(contents):
        try:
            array = decode(_bytes(content), settings)
        except TooSmall:
            continue
        except Undecodable as error:
            broken.append((row, error.code, f"column {settings.column} {error}"))
            continue
        kept.append(row)
        arrays.append(array)
    left = table if len(kept) == table.num_rows else table.take(pa.array(kept, pa.int64()))
    left = left if settings.keep_content else left.drop_columns(settings.column)
    records = records_of(table, [row for row, _, _ in broken])
    bad = tuple(
        BadRecord(context.place, code, message, f"record {record.get('id', row + 1)}", record, settings.column)
        for (row, code, message), record in zip(broken, records, strict=True)
    )
    whole = with_lists(left, settings.into, column_of_arrays(arrays), metadata)
    return Outcome(whole, bad, filtered=table.num_rows - len(kept) - len(bad))


def _contents(table: pa.Table, name: str, context: Context) -> pa.ChunkedArray:
    column = column_of(table, name, context.place)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise RunFault(
            "WrongColumnType",
            f"{context.place} needs encoded bytes in the column {name}, which holds {column.type}; "
            "name a column of bytes, such as content of files of the formats Audio and Image",
        )
    return column


def _bytes(content: pa.Scalar) -> bytes:
    if not content.is_valid:
        raise Undecodable("MissingValue", "is missing")
    found: bytes = content.as_py()
    return found
