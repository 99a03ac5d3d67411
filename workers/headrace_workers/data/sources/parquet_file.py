"""Parquet: the file's own types, read in batches. A file that cannot be read is a fault of the source, not a bad record."""

from collections.abc import Iterator
from typing import BinaryIO

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.shard import Batch
from headrace_workers.faults import RunFault

BATCH_ROWS = 65_536


def schema_of(uri: str) -> pa.Schema | None:
    """The file's schema, of its footer; None where it cannot be read, or leaves a type open."""
    try:
        with fsspec.open(uri, "rb") as opened:
            schema = pq.read_schema(opened)
    except (pa.ArrowInvalid, OSError):
        return None
    return None if any(pa.types.is_null(field.type) for field in schema) else schema.remove_metadata()


def read(opened: BinaryIO, name: str) -> Iterator[Batch]:
    """The file's rows; the line in an id is the row, from 1."""
    rows = 0
    try:
        for batch in pq.ParquetFile(opened).iter_batches(BATCH_ROWS):
            lines = np.arange(rows + 1, rows + batch.num_rows + 1)
            rows += batch.num_rows
            yield Batch(with_id(pa.Table.from_batches([batch]), name, lines))
    except pa.ArrowInvalid as error:
        raise RunFault(
            "SourceUnreadable",
            f"file {name} cannot be read as Parquet: {error}; repair it or take it out of the source",
        ) from None
