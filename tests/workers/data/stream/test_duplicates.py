"""What was seen, against a plain dictionary: the same records are fresh, whatever the epochs and the runs."""

import random
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pytest

from headrace_workers.data.stream import duplicates
from headrace_workers.data.stream.duplicates import Run, Seen, words

WITHIN = 100


def signed(keys: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Words of signatures of keys."""
    made = [blake2b(str(key).encode(), digest_size=16).digest() for key in keys]
    return words(pa.array(made, pa.binary(16)))


class Plain:
    """Remembers the times of what was fresh, by key."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.times: dict[int, list[int]] = {}

    def is_fresh(self, key: int, time: int) -> bool:
        """Whether none within that time is equal."""
        there = self.times.setdefault(key, [])
        if any(abs(time - other) <= WITHIN for other in there):
            return False
        there.append(time)
        return True


@pytest.mark.parametrize("seed", range(5))
def test_the_same_as_a_dictionary(seed: int) -> None:
    """Many epochs with equal records within one, over several, and after they are forgotten."""
    chance, seen, plain = random.Random(seed), Seen(WITHIN), Plain()
    for epoch in range(60):
        keys = [chance.randrange(40) for _ in range(chance.randrange(50))]
        times = sorted(epoch * 7 + chance.randrange(30) for _ in keys)
        first, second = signed(keys)
        fresh = seen.fresh(first, second, np.array(times, np.int64))
        assert fresh.tolist() == [plain.is_fresh(key, time) for key, time in zip(keys, times, strict=True)]
        kept = np.array(times, np.int64)[fresh]
        seen = seen.with_run(f"run-{epoch}", first[fresh], second[fresh], kept).forget(epoch * 7)
    assert len(seen.runs) < 12


def test_equal_records_of_one_epoch_that_are_far_apart() -> None:
    """A heartbeat that says the same each time is a record of its own once that is long enough ago."""
    times = np.array([0, 50, 150, 151, 400], np.int64)
    fresh = Seen(WITHIN).fresh(*signed([1] * 5), times)
    assert fresh.tolist() == [True, False, True, False, True]


def test_what_is_equal_in_half_is_not_equal() -> None:
    """The first 64 bits alone prove nothing."""
    seen = Seen(WITHIN).with_run("one", np.array([7], np.uint64), np.array([1], np.uint64), np.array([0]))
    fresh = seen.fresh(np.array([7, 7, 7], np.uint64), np.array([2, 1, 2], np.uint64), np.array([0, 0, 0]))
    assert fresh.tolist() == [True, False, False]


def test_runs_are_few_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones are merged, none beyond the bound; what is too old goes a run at a time, and a run comes back from its table."""
    monkeypatch.setattr(duplicates, "MOST_IN_A_RUN", 1000)
    seen = Seen(WITHIN)
    for epoch in range(100):
        seen = seen.with_run(f"run-{epoch}", *signed(list(range(epoch * 50, epoch * 50 + 50))), np.full(50, epoch))
    assert seen.records == 5000
    assert max(len(run.times) for run in seen.runs) <= 1000
    assert len(seen.runs) < 15
    left = seen.forget(WITHIN + 60)
    assert 0 < left.records < 5000
    assert all(run.newest >= 60 for run in left.runs)
    again = Run.of("again", left.runs[0].table())
    assert again.first.tolist() == left.runs[0].first.tolist()


def test_a_slice_of_signatures_has_its_own_words() -> None:
    """Arrow's slices share a buffer."""
    made = pa.array([bytes([place] * 16) for place in range(5)], pa.binary(16))
    assert words(made.slice(2))[0].tolist() == words(made)[0][2:].tolist()
