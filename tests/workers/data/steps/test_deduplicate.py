"""deduplicate: the first of its kind stays, over all shards."""

import pyarrow as pa
import pytest

from headrace.api.steps import Deduplicate, Exact, Near, Step
from headrace_workers.data.steps import deduplicate, run_step

EXACT = Deduplicate(exact=Exact())
LONG = (
    "the quick brown fox jumps over the lazy dog while the cat sleeps on the warm mat near the old stove in the kitchen"
)


def kept(table: pa.Table, settings: Deduplicate) -> list[str]:
    """The ids that stay."""
    return run_step(table, Step(deduplicate=settings)).table["id"].to_pylist()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 1]),
        pa.array(["a", "b", "a"]),
        pa.array(["", None, ""]),
        pa.array([[1.0, 2.0], [1.0], [1.0, 2.0]]),
        pa.array([[1, None], [1], [1, None]]),
        pa.array([{"a": 1}, {"a": 2}, {"a": 1}]),
        pa.array([True, False, True]),
        pa.array([[["a"]], [["b"]], [["a"]]]),
    ],
)
def test_equal_values_of_every_type_are_found(values: pa.Array) -> None:
    """Records that differ in nothing but the id are one; a missing value is not an empty one."""
    assert kept(pa.table({"id": ["x", "y", "z"], "v": values}), EXACT) == ["x", "y"]


def test_values_do_not_run_into_each_other() -> None:
    """("ab", "c") and ("a", "bc") differ."""
    assert len(kept(pa.table({"id": ["x", "y"], "a": ["ab", "a"], "b": ["c", "bc"]}), EXACT)) == 2


def test_only_the_chosen_columns_are_compared() -> None:
    """What is not named does not count."""
    table = pa.table({"id": ["x", "y"], "a": [1, 1], "b": [1, 2]})
    assert kept(table, Deduplicate(exact=Exact(columns=("a",)))) == ["x"]


def test_the_first_shard_wins() -> None:
    """A record of a later shard falls to one of an earlier, and batches keep their place."""
    shards = [pa.table({"id": ["a", "b"], "v": [1, 2]}), pa.table({"id": ["c", "d", "e"], "v": [2, 3, 3]})]
    decision = deduplicate.decide([deduplicate.measure(shard, EXACT) for shard in shards], EXACT)
    assert [list(mask) for mask in decision.by_shard] == [[True, True], [False, True, False]]
    second = deduplicate.apply(shards[1].slice(1), EXACT, decision.by_shard[1], rows_before=1)
    assert second.table["id"].to_pylist() == ["d"]
    assert second.duplicates == 1


def test_similar_texts_are_found_and_others_are_not() -> None:
    """One changed word at the end of a long text is near; another text is far."""
    table = pa.table(
        {
            "id": ["x", "y", "z"],
            "text": [LONG, LONG + " today", "an entirely different sentence about rivers, dams and turbines"],
        }
    )
    assert kept(table, Deduplicate(near=Near(threshold=0.7))) == ["x", "z"]
