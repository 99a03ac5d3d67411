"""Values of columns as text: only of types that have one text for each value."""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from headrace_workers.data.steps.values import records_of, values_of
from headrace_workers.faults import RunFault


def test_text_and_integers_are_values() -> None:
    """Missing ones stay missing."""
    table = pa.table(
        {"text": ["a", None, ""], "large": pa.array(["b", "c", "d"], pa.large_string()), "number": [7, -1, None]}
    )
    assert [values_of(table, name, "hash") for name in table.column_names] == [
        ["a", None, ""],
        ["b", "c", "d"],
        ["7", "-1", None],
    ]


@pytest.mark.parametrize("value", [0.5, True, date(2026, 7, 1), ["a"], {"a": 1}, b"a"])
def test_other_types_are_refused(value: Any) -> None:
    """With the column and its type."""
    with pytest.raises(RunFault, match="hash needs text or integers in the column x, which holds") as caught:
        values_of(pa.table({"x": [value]}), "x", "hash")
    assert caught.value.reason == "WrongColumnType"


def test_a_record_is_known_by_its_id_or_its_row() -> None:
    """A table in a notebook may have no ids."""
    assert records_of(pa.table({"id": ["a", "b"]})) == ["a", "b"]
    assert records_of(pa.table({"x": [1.5, 2.5]})) == ["0", "1"]
