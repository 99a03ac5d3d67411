"""The first of those that are alike, beside a plain loop over all pairs."""

import numpy as np
import pytest

from headrace_workers.data.steps.earlier_alike import without_earlier_alike

PLACES = 16


def by_pairs(signatures: np.ndarray, bands: np.ndarray, agreeing: int) -> list[bool]:
    kept: list[bool] = []
    for record, mine in enumerate(signatures):
        alike = (
            other for other in range(record)
            if kept[other] and ((bands[:, record] == bands[:, other]) & (bands[:, record] >= 0)).any() and (signatures[other] == mine).sum() >= agreeing
        )  # fmt: skip
        kept.append(next(alike, None) is None)
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_what_all_pairs_show(seed: int) -> None:
    """Chains of records that are each like the one before, numbers shared by records that are not alike, records without."""
    random = np.random.default_rng(seed)
    signatures = random.integers(0, 3, (120, PLACES)).astype(np.uint32)
    for record in range(1, 120, 2):
        signatures[record] = signatures[random.integers(record)]
        signatures[record, random.integers(0, PLACES, 4)] = 9
    numbers = random.integers(-1, 4, (3, 120))
    bands = np.where(numbers < 0, -1, numbers + np.array([[0], [4], [8]])).astype(np.int32)
    for agreeing in (8, 12, PLACES):
        found = without_earlier_alike(signatures, bands.copy(), agreeing)
        assert found.tolist() == by_pairs(signatures, bands, agreeing)


def test_one_that_was_dropped_drops_nobody() -> None:
    """The third is like the second alone, which is like the first."""
    signatures = np.array([[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 2]], np.uint32)
    assert without_earlier_alike(signatures, np.zeros((1, 3), np.int32), 3).tolist() == [True, False, True]
