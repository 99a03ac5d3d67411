"""What a stage made of a shard, as files in the run's storage: parts of Arrow data, measurements, and last the manifest.

A piece exists only when its manifest does, so that a run killed anywhere finds whole pieces or none. Parts are small
enough for a task to hold one in memory. A part in which a stage changed nothing is not written again.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.api.base import Model
from headrace.api.run_report import Records
from headrace_workers.data.final_form import final_form
from headrace_workers.storage import Folder

PART_BYTES = 64 << 20


class Manifest(Model):
    """What one task reports of its shard after one stage; `records` counts what this stage did."""

    parts: tuple[str, ...] = ()
    rows: int = 0
    records: Records = Records()
    first_bad: str = ""
    content: str = ""
    splits: dict[str, int] = {}
    classes: tuple[int | str, ...] | None = None
    collapsed: int = 0
    replaced: tuple[str, ...] = ()
    """Where the bad records came from whose places repaired ones took."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Rows and bytes of each part that is a file of the table already."""
    rows_in: int = 0
    seconds: float = 0.0
    memory_bytes: int = 0
    """The most memory that the process which made the piece has had."""


def name_of(stage: int, shard: int) -> str:
    """The name of a piece."""
    return f"{stage:03d}-{shard:06d}"


class PieceWriter:
    """Writes one piece part by part; `close` makes it exist."""

    def __init__(self, folder: Folder, name: str, table: Folder | None = None) -> None:
        """Starts anew; files of an earlier attempt are written over with the same bytes.

        With a `table`, parts are Parquet files there, as the table's readers have them.
        """
        self._folder = folder
        self._name = name
        self._table = table
        self._sizes: list[tuple[int, int]] = []
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._parts: list[str] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Takes a batch; writes a part once enough are held, or where the columns of what comes are others."""
        if self._held and self._held[0].schema != table.schema:
            self._flush()
        self._held.append(table)
        self._held_bytes += table.nbytes
        self._rows += table.num_rows
        if self._held_bytes >= PART_BYTES:
            self._flush()

    def keep(self, part: str, rows: int) -> None:
        """Takes a part of the piece before as it is: nothing of it was changed."""
        if self._held:
            self._flush()
        self._parts.append(part)
        self._rows += rows

    def measure(self, tables: list[pa.Table]) -> None:
        """Writes what the barrier after the stage needs to know."""
        if tables:
            self._folder.write(f"{self._name}.measured", to_bytes(pa.concat_tables(tables)))

    def close(self, manifest: Manifest) -> Manifest:
        """Writes the manifest, completed by what was written before."""
        if self._held:
            self._flush()
        complete = manifest.model_copy(
            update={"parts": tuple(self._parts), "rows": self._rows, "sizes": tuple(self._sizes)}
        )
        self._folder.write(f"{self._name}.json", complete.model_dump_json().encode())
        return complete

    def _flush(self) -> None:
        held = pa.concat_tables(self._held)
        self._held, self._held_bytes = [], 0
        part = f"{self._name}-{len(self._parts):04d}"
        if self._table is None:
            part += ".arrow"
            self._folder.write(part, to_bytes(held))
        elif held.num_rows:
            part += ".parquet"
            data = _parquet_bytes(final_form(held))
            self._table.write(part, data)
            self._sizes.append((held.num_rows, len(data)))
        else:
            return
        self._parts.append(part)


def finished(folder: Folder, name: str) -> Manifest | None:
    """The piece's manifest, if the piece exists."""
    return Manifest.model_validate_json(folder.read(f"{name}.json")) if folder.exists(f"{name}.json") else None


def measured(folder: Folder, name: str) -> pa.Table | None:
    """What was measured of the piece; None for a shard without records."""
    return from_bytes(folder.read(f"{name}.measured")) if folder.exists(f"{name}.measured") else None


def batches(folder: Folder, manifest: Manifest) -> Iterator[pa.Table]:
    """The piece's batches, as they were added."""
    for part in manifest.parts:
        yield from batches_of(folder, part)


def batches_of(folder: Folder, part: str) -> Iterator[pa.Table]:
    """The batches of one part."""
    for batch in from_bytes(folder.read(part)).to_batches():
        yield pa.Table.from_batches([batch])


def _parquet_bytes(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return memoryview(sink.getvalue()).cast("B")


def to_bytes(table: pa.Table) -> memoryview:
    """A table as an Arrow file, without a copy of it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue()).cast("B")


def from_bytes(data: bytes) -> pa.Table:
    """A table of an Arrow file."""
    return pa.ipc.open_file(pa.py_buffer(data)).read_all()
