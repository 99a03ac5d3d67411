"""Columns of lists of any length."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.media import DecodeSound
from headrace_workers.data.steps import lists
from headrace_workers.faults import RunFault


def test_there_and_back_nothing_changes() -> None:
    """Lists keep their lengths, also where there are none and in several chunks."""
    arrays = [np.array([1, 2, 3], np.float32), np.array([], np.float32), np.array([4], np.float32)]
    column = lists.column_of_arrays(arrays)
    table = pa.table({"x": pa.chunked_array([column, column])})
    assert [array.tolist() for array in lists.arrays_of(table, "x", "step")] == [[1, 2, 3], [], [4]] * 2
    assert lists.arrays_of(table.slice(2, 2), "x", "step")[0].tolist() == [4]
    assert lists.arrays_of(table.slice(0, 0), "x", "step") == []
    assert lists.column_of_arrays([]).type == lists.LISTS


def test_arrays_become_flat() -> None:
    """A shape is the column's business."""
    assert lists.column_of_arrays([np.ones((2, 3))]).to_pylist() == [[1.0] * 6]


@pytest.mark.parametrize(
    ("values", "reason"),
    [([1.0], "WrongColumnType"), ([["a"]], "WrongColumnType"), ([[1.0], None], "MissingValues")],
)
def test_what_is_no_list_is_a_fault(values: list[Any], reason: str) -> None:
    """Numbers, lists of texts, and missing ones."""
    with pytest.raises(RunFault) as caught:
        lists.arrays_of(pa.table({"x": values}), "x", "step")
    assert caught.value.reason == reason


def test_a_column_that_is_there_is_not_written_over() -> None:
    """The fault says how to go on."""
    with pytest.raises(RunFault, match="step would add the column sound, which is there already; write another name"):
        lists.require_new(pa.table({"sound": [1]}), DecodeSound(), "step")
