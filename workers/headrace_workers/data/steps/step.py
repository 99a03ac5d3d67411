"""The words that steps share: what a step is told, what it answers, and how it asks for a column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api import quarantine_line
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep

WITHHELD = quarantine_line.WITHHELD
"""What stands where a private value would."""


@dataclass(frozen=True)
class Context:
    """Where a step stands in the pipeline, where its random choices start, and whether it may quote values."""

    place: str = "step"
    seed: int = 0
    is_private: bool = False
    """Whether some step of the pipeline hides values: no message quotes one then, as it may have come from any column."""
    event_time: str = ""
    """The column that says when a record happened."""

    def quoted(self, value: object) -> str:
        """A value as a message may quote it."""
        return WITHHELD if self.is_private else repr(value)


@dataclass(frozen=True)
class Outcome:
    """What a step made of a table; counts are of source records."""

    table: pa.Table
    bad: tuple[BadRecord, ...] = ()
    filtered: int = 0
    duplicates: int = 0
    augmented: int = 0
    collapsed: int = 0
    """How many more records went in than came out, as rows of windows stand for them."""


@dataclass(frozen=True)
class Decision:
    """What all records together decided: one answer a shard, and what serving must repeat."""

    by_shard: tuple[Any, ...]
    fitted: tuple[FittedStep, ...] = field(default=())


class MapStep(Protocol):
    """A step that needs to see no other batch."""

    def apply(self, table: pa.Table, settings: Any, context: Context) -> Outcome:
        """The batch after the step."""


class PrivateStep(MapStep, Protocol):
    """A step that hides values, one by one."""

    def columns_of(self, settings: Any) -> tuple[str, ...]:
        """The columns whose values it hides."""

    def concealer(self, settings: Any, context: Context) -> Callable[[str, str, str], str]:
        """What hides a value, given with its column and its record's id, as the step does in a table."""


class Barrier(Protocol):
    """A step that must see all records before it can treat the first."""

    def measure(self, table: pa.Table, settings: Any, context: Context) -> pa.Table:
        """What of one batch the decision needs; always with the same columns."""

    def decide(self, measured: Sequence[pa.Table], settings: Any, context: Context) -> Decision:
        """The decision, from each shard's measurements in the order of its batches."""

    def apply(self, table: pa.Table, settings: Any, decision: Any, rows_before: int, context: Context) -> Outcome:
        """The batch after the step; `decision` is its shard's, which had `rows_before` rows before this batch."""


def column_of(table: pa.Table, name: str, place: str) -> pa.ChunkedArray:
    """The column; RunFault ColumnNotFound if the table has none of that name."""
    if name not in table.column_names:
        raise RunFault(
            "ColumnNotFound",
            f"{place} names the column {name}, which is not there; name one of {', '.join(table.column_names)}",
        )
    return table[name]


def text_of(table: pa.Table, name: str, place: str) -> pa.ChunkedArray:
    """The column, which must hold text."""
    column = column_of(table, name, place)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise RunFault(
            "WrongColumnType", f"{place} needs text in the column {name}, which holds {column.type}; name a text column"
        )
    return column


def with_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with the column's values replaced or added; what the column's metadata says stays."""
    if name not in table.column_names:
        return table.append_column(name, values)
    index = table.column_names.index(name)
    return table.set_column(index, pa.field(name, values.type, metadata=table.schema.field(index).metadata), values)


def records_of(table: pa.Table, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
    """Rows as the quarantine may have them: of encoded bytes, which may be millions, only their number."""
    taken = table.take(pa.array(rows, pa.int64()))
    for name in taken.column_names:
        kind = taken.schema.field(name).type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            sizes = pc.binary_length(taken[name]).to_pylist()
            said = [None if size is None else f"[{size} bytes]" for size in sizes]
            taken = taken.set_column(taken.column_names.index(name), name, pa.array(said, pa.string()))
    found: list[dict[str, Any]] = taken.to_pylist()
    return found
