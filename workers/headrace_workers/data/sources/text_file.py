"""Text: every line that is not empty is a record with one column, `text`."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.json_objects import shown
from headrace_workers.data.sources.lines import blocks
from headrace_workers.data.sources.shard import Batch


def read(opened: BinaryIO, name: str) -> Iterator[Batch]:
    """The file's lines; one that is not UTF-8 is bad."""
    for block in blocks(opened):
        good: list[tuple[int, str]] = []
        bad: list[BadRecord] = []
        for number, line in block:
            try:
                good.append((number, line.decode()))
            except UnicodeDecodeError as error:
                position = f"file {name} line {number}"
                bad.append(
                    BadRecord("source", "BadEncoding", f"not UTF-8 at byte {error.start}", position, shown(line))
                )
        table = pa.table({"text": pa.array([text for _, text in good], pa.string())})
        yield Batch(with_id(table, name, [number for number, _ in good]), tuple(bad))
