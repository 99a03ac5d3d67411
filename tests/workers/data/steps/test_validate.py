"""validate: a record that breaks a rule is bad, with the first rule it broke; the others pass unchanged."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.api.steps import Validate
from headrace_workers.data.steps import validate
from headrace_workers.faults import RunFault

NAN = float("nan")


def codes(values: pa.Array, **rule: Any) -> dict[str, str]:
    """The codes of the bad records by id, for a table of one column."""
    table = pa.table({"id": [f"r{n}" for n in range(len(values))], "x": values})
    outcome = validate.apply(table, Validate.model_validate({"columns": [{"name": "x", **rule}]}))
    assert outcome.table.num_rows + len(outcome.bad) == table.num_rows
    return {bad.position.removeprefix("record "): bad.code for bad in outcome.bad}


@pytest.mark.parametrize(
    ("values", "rule", "bad"),
    [
        (pa.array([1, None, 3]), {}, {"r1": "MissingValue"}),
        (pa.array([1, None, 3]), {"required": False}, {}),
        (pa.array([1.0, NAN]), {}, {"r1": "MissingValue"}),
        (pa.array([0, 5, 17]), {"min": 1, "max": 16}, {"r0": "OutOfRange", "r2": "OutOfRange"}),
        (pa.array([None, 0]), {"min": 1, "required": False}, {"r1": "OutOfRange"}),
        (
            pa.array([[0.0, 16.0], [0.0, 17.0], None, [-1.0]]),
            {"min": 0, "max": 16, "required": False},
            {"r1": "OutOfRange", "r3": "OutOfRange"},
        ),
        (pa.array([[0.0], [NAN]]), {"min": 0}, {"r1": "OutOfRange"}),
        (pa.array([[1, 2], [1]]), {"length": 2}, {"r1": "WrongLength"}),
        (pa.array(["ab", "äöü"]), {"length": 3}, {"r0": "WrongLength"}),
        (pa.array(["a", "b", None]), {"allowed": ["a"], "required": False}, {"r1": "NotAllowed"}),
        (pa.array([1, 2]), {"allowed": ["1"]}, {"r1": "NotAllowed"}),
        (pa.array(["1.5", " 2 ", "abc", "99"]), {"max": 10}, {"r2": "NotANumber", "r3": "OutOfRange"}),
    ],
)
def test_rules(values: pa.Array, rule: dict[str, Any], bad: dict[str, str]) -> None:
    """Each rule finds exactly the records that break it."""
    assert codes(values, **rule) == bad


def test_texts_with_bounds_become_numbers() -> None:
    """A text column with a bound is numbers afterwards."""
    table = pa.table({"id": ["a", "b"], "x": ["1", "2.5"]})
    outcome = validate.apply(table, Validate.model_validate({"columns": [{"name": "x", "min": 0}]}))
    assert outcome.table["x"].to_pylist() == [1.0, 2.5]


def test_a_missing_column_is_named_with_those_there_are() -> None:
    """A rule for a column that is not there says where and what there is."""
    with pytest.raises(RunFault, match=r"validate names the column y, which is not there; name one of id, x") as caught:
        validate.apply(pa.table({"id": ["a"], "x": [1]}), Validate.model_validate({"columns": [{"name": "y"}]}))
    assert caught.value.reason == "ColumnNotFound"


def test_of_encoded_bytes_the_quarantine_has_their_number() -> None:
    """They may be millions, and lie where they were read."""
    table = pa.table({"id": ["a", "b"], "content": [b"12345", None], "x": [None, None]})
    bad = validate.apply(table, Validate.model_validate({"columns": [{"name": "x"}]})).bad
    assert [record.record["content"] for record in bad] == ["[5 bytes]", None]
