"""Which records raise an alert, as a table; and that the same one has the same id."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from headrace.api.data_pipeline import Alert
from headrace_workers.data.alerts.raising import raised
from headrace_workers.faults import RunFault

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TABLE = pa.table({"id": ["a", "b", "c", "d", "e"], "t": [1.0, None, float("nan"), -3.0, 9.0], "n": [1, 2, 3, 4, 5]})


def alert(**fields: Any) -> Alert:
    return Alert.model_validate({"name": "x", "column": "t"} | fields)


@pytest.mark.parametrize(
    ("alerts", "told"),
    [
        ([alert(above=1)], [("x", "t is 9, above 1, in the record e")]),
        ([alert(below=1)], [("x", "t is -3, below 1, in the record d")]),
        ([alert(above=9, below=-3)], []),
        ([alert(column="n", above=4), alert(name="y", above=5, below=0)],
         [("y", "t is -3, below 0, in the record d"), ("x", "n is 5, above 4, in the record e"), ("y", "t is 9, above 5, in the record e")]),
        ([], []),
    ],
    ids=["above", "below", "a bound itself is not beyond it", "in the order of records", "none"],
)  # fmt: skip
def test_records_beyond_a_bound(alerts: list[Alert], told: list[tuple[str, str]]) -> None:
    """Missing values and NaN are beyond none."""
    assert [(each.told.alert, each.told.message) for each in raised(TABLE, alerts, NOW)] == told


def test_the_same_record_raises_the_same_id() -> None:
    """Later, in other company; another alert of it has another."""
    first, *_ = raised(TABLE, [alert(above=1)], NOW)
    again, *_ = raised(TABLE.slice(4), [alert(above=2)], datetime(2027, 1, 1, tzinfo=UTC))
    other, *_ = raised(TABLE, [alert(name="y", above=1)], NOW)
    assert first.told.id == again.told.id != other.told.id


@pytest.mark.parametrize(("column", "reason"), [("id", "WrongColumnType"), ("missing", "ColumnNotFound")])
def test_a_column_that_cannot_be_watched(column: str, reason: str) -> None:
    """The sentence names the alert's place."""
    with pytest.raises(RunFault) as caught:
        raised(TABLE, [alert(above=1), alert(column=column, above=1)], NOW)
    assert caught.value.reason == reason
    assert "alerts[1].column" in caught.value.message
