"""Token ids of texts, cut and padded, and texts of ids."""

import numpy as np
import pytest

from headrace_workers.tokenizing import END, START, padded
from tests.workers.texts import THREE_WORDS as TEXT
from tests.workers.texts import tokenizing


def test_a_text_that_is_too_long_ends_early() -> None:
    """Nothing beyond max_tokens is kept."""
    whole = tokenizing(max_tokens=9).encoded([TEXT])[0]
    assert tokenizing(max_tokens=2).encoded([TEXT])[0] == whole[:2]
    assert len(whole) == 3


def test_boundaries_stand_around_a_text() -> None:
    """A start before, an end after; a text that was cut has no end."""
    inside = tokenizing(max_tokens=9).encoded([TEXT])[0]
    assert tokenizing(boundaries=True, max_tokens=5).encoded([TEXT, ""]) == [[START, *inside, END], [START, END]]
    assert tokenizing(boundaries=True, max_tokens=4).encoded([TEXT]) == [[START, *inside]]


def test_a_text_that_is_to_go_on_has_no_end_and_is_not_cut() -> None:
    """An empty one begins with a start in any case."""
    inside = tokenizing(max_tokens=9).encoded([TEXT])[0]
    assert tokenizing(boundaries=True, max_tokens=2).opened(TEXT) == [START, *inside]
    assert tokenizing(max_tokens=2).opened(TEXT) == inside
    assert tokenizing().opened("") == [START]


def test_ids_are_read_back_without_those_that_stand_for_no_text() -> None:
    """Padding, start and end write nothing."""
    one = tokenizing(boundaries=True, max_tokens=9)
    (row,) = one.padded(one.encoded([TEXT]))
    assert row.dtype == np.int64
    assert one.decoded(row.tolist()) == TEXT


@pytest.mark.parametrize(("lengths", "rows"), [([], []), ([2, 0, 1], [[5, 6, 0], [0, 0, 0], [7, 0, 0]])])
def test_lists_are_padded_at_their_ends(lengths: list[int], rows: list[list[int]]) -> None:
    """Each row begins with its ids."""
    flat = np.array([5, 6, 7][: sum(lengths)], dtype=np.int64)
    assert padded(flat, np.array(lengths, dtype=np.int64), 3).tolist() == rows
