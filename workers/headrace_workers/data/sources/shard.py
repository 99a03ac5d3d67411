"""The words that sources and tasks share: a piece of a source, and a batch of what was read from it."""

import hashlib
from dataclasses import dataclass

import pyarrow as pa

from headrace_workers.data.quarantine import BadRecord


@dataclass(frozen=True)
class Shard:
    """A piece of a source that one task reads from its beginning to its end.

    `state` changes when the content does (size and time, or an entity tag): what was made of an older state is not reused.
    One of many small files has them as its `parts`.
    """

    name: str
    uri: str = ""
    size_bytes: int = 0
    state: str = ""
    parts: tuple["Shard", ...] = ()

    @property
    def version(self) -> str:
        """A short digest of its size and state: another one is another content."""
        return hashlib.sha256(f"{self.size_bytes}/{self.state}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Batch:
    """Some consecutive records, with a column `id`, and those that could not be read."""

    table: pa.Table
    bad: tuple[BadRecord, ...] = ()

    @property
    def records(self) -> int:
        """How many records were read, good and bad."""
        return int(self.table.num_rows) + len(self.bad)
