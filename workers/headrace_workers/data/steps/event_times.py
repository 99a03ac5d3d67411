"""When records happened, as microseconds since 1970 in UTC."""

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.steps.numbers import is_number
from headrace_workers.data.steps.step import Context, Outcome, column_of, records_of

SECOND = 1_000_000
LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * SECOND
DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,9})?)?"
OFFSET = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
ISO = rf"^{DAY}([T ]{CLOCK}{OFFSET}?)?$"
"""What stands in ISO 8601; a day that its month lacks does, too."""
SECONDS = r"^\d{1,12}([.]\d+)?$"
"""Numbers are text where the column has other text too."""
UTC_ZONE = "UTC"


def read(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since 1970, of shape (records,) int64, and which of them could be read; the others are 0."""
    values = column.combine_chunks()
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        made = values.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        times, readable = made.fill_null(0).to_numpy(zero_copy_only=False), np.asarray(values.is_valid())
    elif is_number(kind):
        seconds = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        readable = np.isfinite(seconds) & (np.abs(seconds) < LAST / SECOND)
        times = np.rint(np.where(readable, seconds, 0.0) * SECOND).astype(np.int64)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        times, readable = _of_text(values)
    else:
        times, readable = np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    readable = readable & (times >= 0) & (times <= LAST)
    return np.where(readable, times, 0), readable


def _of_text(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    text = pc.utf8_trim_whitespace(text)
    formed = np.asarray(pc.fill_null(pc.match_substring_regex(text, ISO), False))
    times, readable = np.zeros(len(text), np.int64), formed.copy()
    some = pc.replace_substring_regex(text.filter(pa.array(formed)), r"([.]\d{6})\d+", r"\1")
    zoned = np.asarray(pc.match_substring_regex(some, rf"{CLOCK}{OFFSET}$"))
    made = np.zeros(len(some), np.int64)
    ok = np.ones(len(some), bool)
    for has_zone in (True, False):
        mask = zoned == has_zone
        if mask.any():
            made[mask], ok[mask] = _cast(some.filter(pa.array(mask)), has_zone)
    times[formed], readable[formed] = made, ok
    counted = np.asarray(pc.fill_null(pc.match_substring_regex(text, SECONDS), False))
    if counted.any():
        seconds = text.filter(pa.array(counted)).cast(pa.float64()).to_numpy(zero_copy_only=False)
        times[counted], readable[counted] = np.rint(seconds * SECOND).astype(np.int64), True
    return times, readable


def _cast(text: pa.Array, has_zone: bool) -> tuple[np.ndarray, np.ndarray]:
    kind = pa.timestamp("us", UTC_ZONE) if has_zone else pa.timestamp("us")
    try:
        return text.cast(kind).cast(pa.int64()).to_numpy(zero_copy_only=False), np.ones(len(text), bool)
    except pa.ArrowInvalid:
        # Some day that its month lacks: rare enough to look at each.
        read_one = [_one(value) for value in text.to_pylist()]
        made = np.array([0 if value is None else value for value in read_one], np.int64)
        return made, np.array([value is not None for value in read_one])


def _one(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp()) * SECOND + moment.microsecond


def apply(table: pa.Table, column: str, context: Context) -> tuple[Outcome, np.ndarray]:
    """The records whose time can be read, with those times; the others are bad."""
    times, readable = read(column_of(table, column, context.place))
    if readable.all():
        return Outcome(table), times
    rows = np.flatnonzero(~readable)
    ids = table["id"].take(rows).to_pylist() if "id" in table.column_names else [f"row {row + 1}" for row in rows]
    bad = tuple(
        BadRecord(
            context.place,
            "BadTime",
            f"column {column} is {context.quoted(record[column])}, no time from 1970 on in ISO 8601 or seconds",
            f"record {key}",
            record,
            column,
        )
        for key, record in zip(ids, records_of(table, rows), strict=True)
    )
    return Outcome(table.filter(pa.array(readable)), bad), times[readable]
