"""The tokenizer that counted pieces make."""

import json
from collections import Counter

import pytest
from tokenizers import Tokenizer, pre_tokenizers

from headrace.api.steps import Tokenize
from headrace_workers.data.steps import vocabulary
from headrace_workers.data.steps.vocabulary import Pieces, most_common, tokenizer_of
from headrace_workers.tokenizing import RESERVED

WORDS = Tokenize.model_validate({"method": "Words", "minCount": 2, "vocabulary": 260})
PAIRS = Tokenize.model_validate({"vocabulary": 270, "minCount": 2})
TEXT = "def one(x):\n    return x + 1\n\n\ndef  two( y ):\r\n\treturn one(one(y))  \x1c\u2003z \u00e9\u4e2d "


def counted(settings: Tokenize, *texts: str) -> Counter[str]:
    """The pieces of texts."""
    pieces = Pieces(settings)
    for text in texts:
        pieces.add(text)
    return pieces.counts()


def test_pieces_are_those_that_the_tokenizer_makes() -> None:
    """Counting by chunks, which is many times as fast, cuts a text as the whole is cut."""
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(TEXT)
    assert counted(PAIRS, TEXT) == Counter(piece for piece, _ in whole)
    assert counted(WORDS, "a-b a") == {"a": 2, "-": 1, "b": 1}


def test_lower_case_is_counted_as_such() -> None:
    """With `lowercase` the and The are one piece."""
    assert counted(WORDS.model_copy(update={"lowercase": True}), "The the THE") == {"the": 3}


def test_long_pieces_teach_nothing() -> None:
    """Data in text's clothing is left out."""
    assert counted(WORDS, "ab " + "x" * 65) == {"ab": 1}


def test_words_come_by_how_often_they_occur_and_then_by_their_letters() -> None:
    """After the reserved ids; those below minCount are unknown."""
    tokenizer = tokenizer_of({"b": 2, "a": 2, "c": 5, "rare": 1}, WORDS)
    assert [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())] == [*RESERVED, "c", "a", "b"]
    assert tokenizer.encode("a rare c").ids == [5, 1, 4]


def test_byte_pairs_write_any_text() -> None:
    """What was never seen is bytes, and comes back as it was."""
    tokenizer = tokenizer_of(counted(PAIRS, "low lower lowest " * 9), PAIRS)
    assert tokenizer.get_vocab_size() == len(RESERVED) + 256 + 7  # seven merges make these words whole
    assert len(tokenizer.encode(" lower").ids) == 1
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT


@pytest.mark.parametrize("settings", [WORDS, PAIRS], ids=["Words", "BytePair"])
def test_no_text_is_read_as_a_reserved_id(settings: Tokenize) -> None:
    """A text that holds [END] is a text with brackets."""
    tokenizer = tokenizer_of(counted(settings, "[END] [END] [PAD][PAD] [START]" * 5), settings)
    assert not {0, 2, 3} & {*tokenizer.encode("[PAD] [START] [END]").ids}
    assert Tokenizer.from_str(tokenizer.to_str()).encode("[END]").ids == tokenizer.encode("[END]").ids


def test_many_equal_counts_are_no_matter_of_chance() -> None:
    """Trained twice on pairs that are all equally frequent, byte pairs come out alike."""
    counts = {f"{one}{two}{one}": 2 for one in "abcdefghijklmnop" for two in "qrstuvwxyz"}
    settings = PAIRS.model_copy(update={"vocabulary": 400})
    first, second = (tokenizer_of(counts, settings).to_str() for _ in range(2))
    assert first == second
    assert len(json.loads(first)["model"]["merges"]) > 50


def test_of_large_data_a_part_of_each_count_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer sees no more than so many pieces, and each at least once."""
    monkeypatch.setattr(vocabulary, "SHOWN_PIECES", 10)
    counts = {"a": 96, "b": 4}
    assert Counter(vocabulary._repeated(counts, vocabulary._divisor(counts))) == {"a": 10, "b": 1}


def test_most_common_is_in_one_order() -> None:
    """By count, then by letters."""
    assert most_common({"b": 1, "a": 1, "c": 3}, 2) == [("c", 3), ("a", 1)]
