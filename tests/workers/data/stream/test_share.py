"""Partitions are shared out evenly, each once."""

import pytest

from headrace_workers.data.stream.share import shared


@pytest.mark.parametrize(("partitions", "readers"), [(5, 2), (2, 5), (12, 4), (1, 1), (0, 3), (3, 0)])
def test_each_partition_has_one_reader(partitions: int, readers: int) -> None:
    """As long as there is a reader; nobody has two more than another."""
    made = shared([f"t/{number}" for number in range(partitions)], [f"r{number}" for number in range(readers)])
    given = [name for some in made.values() for name in some]
    assert sorted(given) == sorted(f"t/{number}" for number in range(partitions if readers else 0))
    sizes = [len(some) for some in made.values()] or [0]
    assert max(sizes) - min(sizes) <= 1
