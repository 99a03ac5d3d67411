"""Messages of several partitions, counted through."""

import numpy as np

from headrace_workers.data.stream.messages import Reading, Taken


def reading() -> Reading:
    """Two messages of one partition and one of another, which begins later."""
    return Reading({"a/0": Taken([5, 7], [1, 2], [b"x", b"y"]), "b/1": Taken([3], [9], [b"z"])}, {})


def test_each_has_a_place_and_an_id() -> None:
    """Partition after partition; times become microseconds."""
    made = reading()
    assert made.values == [b"x", b"y", b"z"]
    assert made.ids.to_pylist() == ["a/0/5", "a/0/7", "b/1/3"]
    assert made.times.tolist() == [1000, 2000, 9000]
    assert Reading({}, {}).ids.to_pylist() == []


def test_the_newest_time_of_each_partition() -> None:
    """Of some of the messages; a partition that has none of them is not told."""
    made = reading()
    assert made.newest(np.array([0, 1, 2]), np.array([10, 5, 7])) == {"a/0": 10, "b/1": 7}
    assert made.newest(np.array([1]), np.array([5])) == {"a/0": 5}
    assert made.newest(np.array([], int), np.array([], int)) == {}
