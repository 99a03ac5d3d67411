"""fillMissing: the value is read as the column's type."""

import pyarrow as pa
import pytest

from headrace.api.steps import FillMissing
from headrace_workers.data.steps import fill_missing
from headrace_workers.faults import RunFault


@pytest.mark.parametrize(
    ("values", "value", "filled"),
    [
        (pa.array([1, None]), "7", [1, 7]),
        (pa.array([1.5, None, float("nan")]), "0.5", [1.5, 0.5, 0.5]),
        (pa.array(["a", None]), "b", ["a", "b"]),
        (pa.array([True, None]), "false", [True, False]),
    ],
)
def test_replaces_missing_values(values: pa.Array, value: str, filled: list[object]) -> None:
    """Missing values, NaN included, become the value."""
    outcome = fill_missing.apply(pa.table({"x": values}), FillMissing(column="x", value=value))
    assert outcome.table["x"].to_pylist() == filled


def test_refuses_a_value_of_another_type() -> None:
    """A value that the column cannot hold is a fault of the manifest."""
    with pytest.raises(RunFault, match="'abc' cannot be read as int64"):
        fill_missing.apply(pa.table({"x": pa.array([1, None])}), FillMissing(column="x", value="abc"))
