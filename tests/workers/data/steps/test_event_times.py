"""Which values say when, as a table."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from headrace_workers.data.steps.event_times import apply, read
from headrace_workers.data.steps.step import Context


def micros(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("values", "times"),
    [
        (["2026-02-28T01:02:03Z", "2026-02-28 01:02:03", "2026-02-28", " 2026-02-28T01:02 "],
         [micros(2026, 2, 28, 1, 2, 3), micros(2026, 2, 28, 1, 2, 3), micros(2026, 2, 28), micros(2026, 2, 28, 1, 2)]),
        (["2026-02-28T01:02:03.5+02:00", "2026-02-28T01:02:03.1234567-00:30"],
         [micros(2026, 2, 27, 23, 2, 3) + 500_000, micros(2026, 2, 28, 1, 32, 3) + 123_456]),
        (["2026-02-30", "2026-02-28T01:02:03.25", "2026-13-01", "yesterday", "", None, "1969-12-31"],
         [None, micros(2026, 2, 28, 1, 2, 3) + 250_000, None, None, None, None, None]),
        ([0, 1.5, 1_700_000_000], [0, 1_500_000, 1_700_000_000_000_000]),
        ([-1.0, float("nan"), float("inf"), 1e300, None], [None] * 5),
        ([datetime(2026, 2, 28, tzinfo=UTC), None], [micros(2026, 2, 28), None]),
        (["1.5", "1700000000", "-1", "1e3"], [1_500_000, 1_700_000_000_000_000, None, None]),
        ([True, False], [None, None]),
    ],
    ids=["ISO 8601", "offsets and fractions", "what is no day", "seconds", "what are no seconds", "timestamps", "seconds beside text", "truth"],
)  # fmt: skip
def test_what_says_when(values: list[Any], times: list[int | None]) -> None:
    """Times without an offset are UTC; what cannot be read, or was before 1970, is not."""
    made, readable = read(pa.chunked_array([pa.array(values)]))
    assert [int(time) if ok else None for time, ok in zip(made, readable, strict=True)] == times


@pytest.mark.parametrize(("is_private", "quoted"), [(False, "'soon'"), (True, "[withheld]")])
def test_a_record_without_a_time_is_bad(is_private: bool, quoted: str) -> None:
    """The others go on, with their times; a private pipeline quotes nothing."""
    table = pa.table({"id": ["a", "b"], "at": ["soon", "1970-01-01T00:00:01Z"]})
    outcome, times = apply(table, "at", Context("eventTime", is_private=is_private))
    assert (outcome.table["id"].to_pylist(), times.tolist()) == (["b"], [1_000_000])
    (bad,) = outcome.bad
    assert (bad.code, bad.position, bad.column) == ("BadTime", "record a", "at")
    assert bad.message == f"column at is {quoted}, no time from 1970 on in ISO 8601 or seconds"
