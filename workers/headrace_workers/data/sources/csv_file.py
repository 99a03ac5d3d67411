"""CSV with a header line. All values are text here: what a column's type is, all files together decide (steps/types.py).

An empty field is a missing value; a quoted one may hold line ends. A row without any value is no record; a row with too
many or too few fields is a bad one, and the others go on.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.sources.identity import with_id
from headrace_workers.data.sources.lines import BLOCK_BYTES
from headrace_workers.data.sources.shard import Batch
from headrace_workers.faults import RunFault


def read(opened: BinaryIO, name: str) -> Iterator[Batch]:
    """The file's rows; values must be UTF-8."""
    invalid: dict[int, Any] = {}

    def on_invalid_row(row: Any) -> str:
        invalid[row.number] = row
        return "skip"

    try:
        rows = csv.open_csv(
            opened,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            # Empty lines must come by as rows, else the numbers of the lines after them would be too small.
            parse_options=csv.ParseOptions(
                invalid_row_handler=on_invalid_row, ignore_empty_lines=False, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                default_column_type=pa.binary(), null_values=[""], strings_can_be_null=True
            ),
        )
        _require_distinct(rows.schema.names, name)
        lines = _Lines(name, invalid)
        for batch in rows:
            table = pa.Table.from_batches([batch])
            numbers = lines.of(table)
            badly_encoded, table, numbers = _decoded(table, numbers, name)
            yield Batch(with_id(*_without_empty(table, name, numbers)), (*lines.taken(), *badly_encoded))
        if rest := lines.rest():
            yield Batch(with_id(_as_text(rows.schema.empty_table()), name, []), rest)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return
        raise RunFault(
            "SourceUnreadable", f"file {name} cannot be read as CSV: {error}; repair it or take it out of the source"
        ) from None


class _Lines:
    """Follows which line of the file a row begins on, past invalid rows and values that hold line ends."""

    def __init__(self, name: str, invalid: dict[int, Any]) -> None:
        self._name = name
        self._invalid = invalid
        self._row = 2
        self._line = 2
        self._bad: list[BadRecord] = []

    def of(self, table: pa.Table) -> list[int]:
        """The line of each row of the next batch."""
        ends = _line_ends(table)
        numbers = []
        for index in range(table.num_rows):
            self._pass_invalid()
            numbers.append(self._line)
            self._row += 1
            self._line += 1 + (ends[index] if ends else 0)
        return numbers

    def taken(self) -> tuple[BadRecord, ...]:
        """The bad rows passed since the last call."""
        bad, self._bad = tuple(self._bad), []
        return bad

    def rest(self) -> tuple[BadRecord, ...]:
        """The bad rows after the last good one."""
        self._pass_invalid()
        return self.taken()

    def _pass_invalid(self) -> None:
        while row := self._invalid.pop(self._row, None):
            if row.text.strip():
                message = f"expected {row.expected_columns} fields, found {row.actual_columns}"
                self._bad.append(
                    BadRecord("source", "WrongFieldCount", message, f"file {self._name} line {self._line}", row.text)
                )
            self._row += 1
            self._line += 1 + row.text.rstrip("\r\n").count("\n")


def _line_ends(table: pa.Table) -> list[int] | None:
    counts = [pc.fill_null(pc.count_substring(column, b"\n"), 0) for column in table.columns]
    if not any(pc.any(pc.greater(count, 0)).as_py() for count in counts):
        return None
    return [sum(row) for row in zip(*(count.to_pylist() for count in counts), strict=True)]


def _require_distinct(names: list[str], file: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RunFault(
            "DuplicateColumn", f"the header of file {file} names {twice[0]!r} twice; give every column its own name"
        )


def _as_text(table: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([column.cast(pa.string()) for column in table.columns], names=table.column_names)


def _decoded(table: pa.Table, lines: list[int], name: str) -> tuple[tuple[BadRecord, ...], pa.Table, list[int]]:
    try:
        return (), _as_text(table), lines
    except pa.ArrowInvalid:
        good = [all(_is_utf8(value.as_py()) for value in row) for row in zip(*table.columns, strict=True)]
    bad = tuple(
        BadRecord("source", "BadEncoding", "not UTF-8", f"file {name} line {lines[index]}", _raw(table, index))
        for index, is_good in enumerate(good)
        if not is_good
    )
    kept = [line for line, is_good in zip(lines, good, strict=True) if is_good]
    return bad, _as_text(table.filter(pa.array(good, pa.bool_()))), kept


def _without_empty(table: pa.Table, name: str, lines: list[int]) -> tuple[pa.Table, str, list[int]]:
    """Leaves out rows without any value: empty lines come by as such, and as elsewhere they are no records."""
    if not all(column.null_count for column in table.columns):
        return table, name, lines
    present = reduce(pc.or_, (pc.is_valid(column) for column in table.columns))
    return table.filter(present), name, [line for line, there in zip(lines, present.to_pylist(), strict=True) if there]


def _raw(table: pa.Table, index: int) -> str:
    return b",".join(column[index].as_py() or b"" for column in table.columns).decode("utf-8", "backslashreplace")


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
