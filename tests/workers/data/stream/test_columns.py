"""Columns of objects that come one by one: their first values decide, and nothing is cut to fit."""

from typing import Any

import pyarrow as pa
import pytest

from headrace_workers.data.stream import columns
from headrace_workers.data.stream.columns import columns_of

NONE = pa.schema([])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, None], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([True, False], pa.bool_()),
        (["a", None], pa.string()),
        ([[1, 2], [], None], pa.list_(pa.int64())),
        ([[[1.5]], [[2]]], pa.list_(pa.list_(pa.float64()))),
        ([{"a": 1}], pa.string()),
        ([[1, "a"]], pa.string()),
        ([2**70], pa.string()),
        ([1, "a"], pa.string()),
    ],
)
def test_a_new_column_takes_a_type_that_holds_its_values(values: list[Any], kind: pa.DataType) -> None:
    """What has none is JSON text."""
    made = columns_of([{"a": value} for value in values], NONE)
    assert (made.table.schema.field("a").type, made.misfits) == (kind, {})
    assert made.table.num_rows == len(values)


def test_one_odd_value_decides_nothing() -> None:
    """Among the first values most decide; what does not fit is told with its column."""
    made = columns_of([{"a": 1}, {"a": "x"}, {"a": 2}, {"a": True}, {"a": 3}], NONE)
    assert made.table.to_pydict() == {"a": [1, 2, 3]}
    assert made.rows.tolist() == [0, 2, 4]
    assert {place: (misfit.code, misfit.column) for place, misfit in made.misfits.items()} == {
        1: ("WrongType", "a"),
        3: ("WrongType", "a"),
    }


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (pa.int64(), [1, None], [1.5, 1.0, "1", True, 2**63, [1], {"a": 1}]),
        (pa.float64(), [1, 1.5, None], ["1", False, 2**60 + 1]),
        (pa.bool_(), [True, None], [1, "true"]),
        (pa.list_(pa.int64()), [[1], [], None], [[1.5], 1, ["a"], [[1]]]),
    ],
)
def test_a_known_column_keeps_its_type(kind: pa.DataType, good: list[Any], bad: list[Any]) -> None:
    """Each value is in it exactly, or its record is bad."""
    rows = [{"a": value, "n": place} for place, value in enumerate([*good, *bad])]
    made = columns_of(rows, pa.schema([("a", kind)]))
    assert made.table["a"].to_pylist() == good
    assert sorted(made.misfits) == list(range(len(good), len(rows)))


def test_a_column_of_text_takes_everything() -> None:
    """As JSON, so that nothing is lost."""
    made = columns_of([{"a": value} for value in ("x", 7, [1], {"b": None}, True)], pa.schema([("a", pa.string())]))
    assert made.table["a"].to_pylist() == ["x", "7", "[1]", '{"b": null}', "true"]


def test_a_column_without_values_is_left_out() -> None:
    """It would have a type that nobody chose."""
    made = columns_of([{"a": None, "b": 1}], NONE)
    assert made.table.column_names == ["b"]


def test_names_that_a_table_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reserved ones, those that differ in capital letters only, and more than there may be."""
    monkeypatch.setattr(columns, "MOST_COLUMNS", 3)
    rows = [{"a": 1}, {"A": 2}, {"headrace.time": 3}, {"b": 4}, {"c": 5}, {"d": 6}, {"a": 7}]
    made = columns_of(rows, NONE)
    assert {place: misfit.code for place, misfit in made.misfits.items()} == {
        1: "ColumnTaken",
        2: "ReservedColumn",
        5: "TooManyColumns",
    }
    assert made.table["a"].to_pylist() == [1, None, None, 7]


def test_records_without_fields_are_records() -> None:
    """Empty objects make rows."""
    assert columns_of([{}, {}], NONE).table.num_rows == 2
