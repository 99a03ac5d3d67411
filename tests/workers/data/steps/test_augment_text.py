"""augment.text: words left out, words moved, letters mistyped, each as often as was asked for."""

from collections import Counter
from string import ascii_lowercase

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.steps import Augment, AugmentText
from headrace_workers.data.steps import augment, augment_text
from headrace_workers.data.steps.step import Context
from headrace_workers.faults import RunFault

WORDS = [f"word{number}" for number in range(2000)]
TEXT = " ".join(WORDS)
ALL = AugmentText(drop_words=0.3, swap_words=0.3, typing_errors=0.3)


def altered(text: str, settings: AugmentText, seed: int = 1) -> str:
    """One text, altered."""
    return augment_text.alter(text, settings, np.random.Generator(np.random.SFC64(seed)))


def test_copies_of_the_training_split_are_altered() -> None:
    """Each by its own seed; its label is its original's, a missing text stays missing."""
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "text": pa.array(["one two three four five"] * 2 + [None], pa.large_string()),
            "label": [1, 2, 3],
            "split": ["train", "validation", "train"],
        }
    )
    settings = Augment(text=AugmentText(swap_words=1.0, copies=2))
    outcome = augment.apply(table, settings)
    assert outcome.augmented == 4
    assert outcome.table["id"].to_pylist() == ["a", "b", "c", "a#1", "c#1", "a#2", "c#2"]
    assert outcome.table["label"].to_pylist() == [1, 2, 3, 1, 3, 1, 3]
    assert outcome.table.slice(0, 3).equals(table)
    first, missing, second, also = outcome.table["text"].to_pylist()[3:]
    assert missing is also is None
    assert len({"one two three four five", first, second}) == 3
    alone = augment.apply(table.slice(0, 1), settings).table["text"].to_pylist()
    assert alone[1:] == [first, second]
    reseeded = augment.apply(table, settings, Context("augment", 1)).table["text"].to_pylist()
    assert reseeded[3] != first


def test_no_change_asked_is_no_change_made() -> None:
    """Down to the last space."""
    for text in ("", " ", "a", "\t two  words\n\n", TEXT):
        assert altered(text, AugmentText()) == text


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_words_are_left_out(share: float) -> None:
    """The others stay in their order, with one space between each two."""
    left = altered(TEXT, AugmentText(drop_words=share)).split(" ")
    assert 1 - len(left) / len(WORDS) == pytest.approx(share, abs=0.04)
    assert left == [word for word in WORDS if word in {*left}]


def test_one_word_stays() -> None:
    """Not always the same one, and what stood around the text stands around it."""
    stayed = {altered(" one two  three\n", AugmentText(drop_words=1.0), seed) for seed in range(30)}
    assert stayed == {" one\n", " two\n", " three\n"}


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_words_change_places(share: float) -> None:
    """None is lost, and each that was chosen moves."""
    moved = altered(TEXT, AugmentText(swap_words=share)).split(" ")
    assert Counter(moved) == Counter(WORDS)
    changed = sum(now != before for now, before in zip(moved, WORDS, strict=True))
    assert changed / len(WORDS) == pytest.approx(share, abs=0.04)


def test_a_single_word_has_no_place_to_change() -> None:
    """Two change with each other, whichever was chosen; white space stays where it is."""
    both = {altered("one  two", AugmentText(swap_words=0.5), seed) for seed in range(20)}
    assert both == {"one  two", "two  one"}
    assert altered("one", AugmentText(swap_words=1.0)) == "one"


@pytest.mark.parametrize("share", [0.02, 0.1, 1.0])
def test_letters_are_mistyped(share: float) -> None:
    """As many as was asked for; digits and white space are no letters."""
    letters = [*ascii_lowercase, "7"] * 400
    typed = altered(" ".join(letters), AugmentText(typing_errors=share)).split(" ")
    changed = sum(now != before for now, before in zip(typed, letters, strict=True))
    assert changed / (26 * 400) == pytest.approx(share, rel=0.1, abs=0.005)
    assert typed[26::27] == ["7"] * 400


def test_letters_slip_in_four_ways() -> None:
    """Left out, doubled, exchanged, replaced by another of the text."""
    settings = AugmentText(typing_errors=0.4)
    seen = {altered("ab", settings, seed) for seed in range(200)}
    assert {"ab", "b", "ba", "aab", "abb", "bb", "aa"} <= seen
    assert all(0 < len(each) <= 4 and {*each} <= {*"ab"} for each in seen)


def test_no_word_vanishes_by_slips() -> None:
    """However many there are."""
    for seed in range(50):
        typed = altered("a bc ünd 新しい橋 7", AugmentText(typing_errors=1.0), seed)
        assert len(typed.split(" ")) == 5
        assert "" not in typed.split(" ")


def test_a_text_without_white_space_is_one_word() -> None:
    """It is neither dropped nor moved, but mistyped."""
    text = "新しい橋は二年の工事を経て昨日開通しました"
    assert altered(text, AugmentText(drop_words=1.0, swap_words=1.0)) == text
    assert altered(text, ALL) != text


def test_only_text_is_altered() -> None:
    """The fault names the column."""
    table = pa.table({"id": ["a"], "text": [1], "split": ["train"]})
    with pytest.raises(RunFault, match="augment needs text in the column text, which holds int64"):
        augment.apply(table, Augment(text=ALL))
