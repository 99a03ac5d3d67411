"""The tokenizer that counted pieces of text make. The same counts make the same bytes.

A piece is what no token reaches across: a word with the space before it, or a run of signs.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from headrace.api.steps import Tokenize, TokenizeMethod
from headrace_workers.tokenizing import RESERVED, UNKNOWN

LONGEST_PIECE = 64
"""Nothing is learnt from longer pieces, which are data in text's clothing."""
SHOWN_PIECES = 5_000_000
"""Pieces, repetitions included, that pairs are counted in: of larger data all counts are divided by the same number."""
# What separates words for the package tokenizers. Python's \s has four control characters more.
CHUNK = re.compile(r"[^\S\x1c-\x1f]*[\S\x1c-\x1f]+|[^\S\x1c-\x1f]+")
WORD_OR_SIGN = Regex(r"\w+|[^\w\s]")


class Pieces:
    """Cuts texts into pieces and counts these."""

    def __init__(self, settings: Tokenize) -> None:
        """Cuts as the tokenizer will that is made of the counts."""
        self._lower = normalizers.Lowercase() if settings.lowercase else None
        self._cut = _pre_tokenizer(settings)
        self._chunks: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Counts one text."""
        self._chunks.update(CHUNK.findall(self._lower.normalize_str(text) if self._lower else text))

    def counts(self) -> Counter[str]:
        """How often each piece occurred; no piece reaches across chunks."""
        pieces: Counter[str] = Counter()
        for chunk, count in self._chunks.items():
            for piece, _ in self._cut.pre_tokenize_str(chunk):
                if len(piece) <= LONGEST_PIECE:
                    pieces[piece] += count
        return pieces


def most_common(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """The most frequent pieces, of equals the first by their letters."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def tokenizer_of(counts: Mapping[str, int], settings: Tokenize) -> Tokenizer:
    """The tokenizer, in which the reserved ids are no words that a text can have."""
    if settings.method is TokenizeMethod.WORDS:
        tokenizer = Tokenizer(_words(counts, settings))
    else:
        tokenizer = Tokenizer(_byte_pairs(counts, settings))
        tokenizer.decoder = decoders.ByteLevel()
    if settings.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = _pre_tokenizer(settings)
    return tokenizer


def _pre_tokenizer(settings: Tokenize) -> pre_tokenizers.PreTokenizer:
    if settings.method is TokenizeMethod.WORDS:
        return pre_tokenizers.Split(WORD_OR_SIGN, behavior="removed", invert=True)
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def _words(counts: Mapping[str, int], settings: Tokenize) -> models.WordLevel:
    known = most_common(
        {word: count for word, count in counts.items() if count >= settings.min_count},
        settings.vocabulary - len(RESERVED),
    )
    return models.WordLevel(
        {word: number for number, word in enumerate((*RESERVED, *(word for word, _ in known)))}, RESERVED[UNKNOWN]
    )


def _byte_pairs(counts: Mapping[str, int], settings: Tokenize) -> models.BPE:
    bare, divisor = Tokenizer(models.BPE()), _divisor(counts)
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary - len(RESERVED),
        min_frequency=-(-settings.min_count // divisor),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    bare.train_from_iterator(_repeated(counts, divisor), trainer)
    learnt = json.loads(bare.to_str())["model"]
    vocabulary = {name: number for number, name in enumerate(RESERVED)}
    vocabulary |= {token: number + len(RESERVED) for token, number in learnt["vocab"].items()}
    return models.BPE(vocabulary, [(left, right) for left, right in learnt["merges"]])


def _divisor(counts: Mapping[str, int]) -> int:
    """What counts are divided by, so that the trainer is not shown more than it can be."""
    return max(1, -(-sum(counts.values()) // SHOWN_PIECES))


def _repeated(counts: Mapping[str, int], divisor: int) -> Iterator[str]:
    """The trainer takes texts and no counts."""
    for piece, count in sorted(counts.items()):
        for _ in range(-(-count // divisor)):
            yield piece
