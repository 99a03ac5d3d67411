"""Types: all files together decide what a column is, and no value changes by it."""

import pyarrow as pa
import pytest

from headrace.api.data_pipeline import FileFormat
from headrace_workers.data.steps import types
from headrace_workers.faults import RunFault


def joined(shards: list[pa.Table], file_format: FileFormat) -> list[dict[str, list[object]]]:
    """The shards in their common schema."""
    decision = types.decide([types.measure(shard, file_format) for shard in shards], file_format)
    return [
        types.apply(shard, file_format, schema).table.to_pydict()
        for shard, schema in zip(shards, decision.by_shard, strict=True)
    ]


@pytest.mark.parametrize(
    ("one", "other", "values"),
    [
        (["1", "2"], ["3"], [1, 2, 3]),
        (["1", None], ["2.5"], [1.0, None, 2.5]),
        (["1e3"], ["-.5"], [1000.0, -0.5]),
        (["007"], ["8"], ["007", "8"]),
        (["12345678901234567890"], ["1"], ["12345678901234567890", "1"]),
        (["1e999", "."], ["-"], ["1e999", ".", "-"]),
        (["7"], ["unknown"], ["7", "unknown"]),
        (["true"], ["False"], [True, False]),
        ([None], [None], [None, None]),
        (["1"], ["true"], ["1", "true"]),
    ],
)
def test_csv_columns_get_the_narrowest_type(
    one: list[str | None], other: list[str | None], values: list[object]
) -> None:
    """Numbers are numbers only where every file agrees; leading zeros are text."""
    shards = [pa.table({"x": pa.array(column, pa.string())}) for column in (one, other)]
    assert [value for shard in joined(shards, FileFormat.CSV) for value in shard["x"]] == values


def test_columns_that_a_file_lacks_are_missing_values() -> None:
    """Files may have different columns; all get all of them."""
    assert joined([pa.table({"a": [1]}), pa.table({"b": ["x"]})], FileFormat.JSON_LINES) == [
        {"a": [1], "b": [None]},
        {"a": [None], "b": ["x"]},
    ]


def test_lists_of_whole_numbers_join_lists_of_fractions() -> None:
    """A list of numbers is a list of numbers."""
    shards = [pa.table({"x": pa.array([[1]])}), pa.table({"x": pa.array([[0.5]])})]
    assert [shard["x"] for shard in joined(shards, FileFormat.JSON_LINES)] == [[[1.0]], [[0.5]]]


def test_lists_and_texts_in_one_column_are_a_fault() -> None:
    """What cannot be one column is named."""
    with pytest.raises(RunFault, match="the column x holds"):
        joined([pa.table({"x": pa.array([[1]])}), pa.table({"x": ["a"]})], FileFormat.JSON_LINES)
