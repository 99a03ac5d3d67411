"""JSON Lines: every line that is not empty is one object."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from headrace_workers.data.sources.columns import column_of_values
from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.json_objects import decoded
from headrace_workers.data.sources.lines import blocks
from headrace_workers.data.sources.shard import Batch


def read(opened: BinaryIO, name: str) -> Iterator[Batch]:
    """The file's objects; a line that is not one is bad."""
    for block in blocks(opened):
        good, bad = decoded(block, lambda number: f"file {name} line {number}")
        table = _table([value for _, value in good])
        yield Batch(with_id(table, name, [number for number, _ in good]), tuple(bad))


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        return pa.table({"_": pa.nulls(len(rows))}).select([])
    return pa.table({name: column_of_values([row.get(name) for row in rows]) for name in names})
