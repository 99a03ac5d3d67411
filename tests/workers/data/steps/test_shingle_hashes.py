"""Hashes of three words in a row, as Python sees words."""

import sys

import numpy as np
import pyarrow as pa
import pytest

from headrace_workers.data.steps.shingle_hashes import shingle_hashes


def hashes_of(*texts: str | None) -> list[list[int]]:
    hashes, bounds = shingle_hashes(pa.chunked_array([pa.array(texts, pa.string())]))
    return [part.tolist() for part in np.split(hashes, bounds[1:-1].astype(int))]


def test_each_run_of_three_words_has_one() -> None:
    """Equal runs have equal ones, wherever they are; the order of words counts."""
    one, other, turned = hashes_of("a b c d e", "x b c d", "c b a")
    assert len(one) == 3 and len(other) == 2
    assert one[1] == other[1]
    assert len({*one, *other, *turned}) == 5


def test_a_shorter_text_has_one_of_the_whole() -> None:
    """Of no word, one and two; a missing text is an empty one."""
    found = hashes_of("", None, "a", "b", "a b", "b a", "  a\n")
    assert all(len(each) == 1 for each in found)
    assert found[0] == found[1] and found[2] == found[6]
    assert len({each[0] for each in found}) == 5


def test_white_space_is_what_python_takes_for_it() -> None:
    """Every character between two words, also at the end of a text that is cut in the middle of nothing."""
    plain = hashes_of("one two three")[0]
    for number in (*range(1, 0x3100), 0xFEFF, 0x1F600):
        between = chr(number)
        if between.isspace() or not 0xD800 <= number <= 0xDFFF:
            text = between.join(["one", "two", "three"])
            assert (hashes_of(text)[0] == plain) == (text.split() == ["one", "two", "three"]), hex(number)


def test_texts_of_a_slice_are_its_own() -> None:
    """Batches are slices of larger arrays, and of several chunks."""
    array = pa.array(["zero one two three", "a b c", "d e f g"])
    hashes, bounds = shingle_hashes(pa.chunked_array([array.slice(1, 1), array.slice(2)]))
    assert bounds.tolist() == [0, 1, 3]
    assert hashes.tolist() == [*hashes_of("a b c")[0], *hashes_of("d e f g")[0]]


@pytest.mark.parametrize("texts", [[], ["a"], ["", ""], ["x" * 100_000], ["a " * 5000]])
def test_there_is_always_room(texts: list[str]) -> None:
    """Nothing is written past the end, whatever the texts."""
    hashes, bounds = shingle_hashes(pa.chunked_array([pa.array(texts, pa.string())]))
    words = [len(text.split()) for text in texts]
    assert len(hashes) == sum(max(1, count - 2) for count in words) <= sys.maxsize
    assert bounds[-1] == len(hashes)
