"""Where records come from: one file a source. A source lists its shards, and reads one shard as a stream of batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from headrace.api.data_pipeline import Source
from headrace_workers.data.sources import files, sample, sql_query
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault


class Reader(Protocol):
    """What the module of a source offers."""

    def shards(self, source: Source) -> Sequence[Shard]:
        """The source's pieces, always in the same order; RunFault SourceNotFound if there are none."""

    def read(self, source: Source, shard: Shard) -> Iterator[Batch]:
        """The records of one piece, always in the same batches."""

    def digest(self, source: Source, shard: Shard) -> str:
        """A digest of the piece's content."""


READERS: Mapping[str, Reader] = {"files": files, "sample": sample, "sql": sql_query}


def reader(source: Source) -> Reader:
    """The module that reads the source; RunFault NotSupported if this version has none."""
    if source.chosen not in READERS:
        raise RunFault(
            "NotSupported",
            f"source.{source.chosen} is not available in a Batch pipeline of this version; use {' or '.join(sorted(READERS))}",
        )
    return READERS[source.chosen]
