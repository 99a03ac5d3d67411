"""From text to token ids and back, as it was fitted: the pipeline, training and serving all go through here.

The tokenizer is kept as the JSON of the package `tokenizers`, inside what it was fitted with: nothing is unpickled. The
first ids are the same in every vocabulary, and no text is ever read as one of them. `tokenizers` is imported where text is
read: who serves numbers has no use for it. This must never import ray, torch or pyarrow.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.api.base import Model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PADDING, UNKNOWN, START, END = range(4)
RESERVED = ("[PAD]", "[UNK]", "[START]", "[END]")
"""What the ids before the learnt ones are called."""


class Tokenizing(Model):
    """A column's texts become lists of token ids in another column."""

    column: str
    into: str
    max_tokens: int
    boundaries: bool
    vocabulary: int
    tokenizer: str

    def encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, max_tokens at most."""
        encode = _tokenizer(self.tokenizer).encode
        found = (encode(text, add_special_tokens=False).ids for text in texts)
        return [([START, *ids, END] if self.boundaries else ids)[: self.max_tokens] for ids in found]

    def opened(self, text: str) -> list[int]:
        """The ids of a text that is to go on, whatever its length; of no text, a start."""
        ids = _tokenizer(self.tokenizer).encode(text, add_special_tokens=False).ids
        return [START, *ids] if self.boundaries or not ids else list(ids)

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of ids, but for those that stand for none."""
        return str(_tokenizer(self.tokenizer).decode([each for each in ids if each >= len(RESERVED)]))

    def padded(self, rows: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Lists of ids as int64 (n, max_tokens)."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        flat = np.fromiter((each for row in rows for each in row), np.int64, int(lengths.sum()))
        return padded(flat, lengths, self.max_tokens)


def padded(
    flat: np.ndarray[Any, np.dtype[np.int64]], lengths: np.ndarray[Any, np.dtype[np.int64]], width: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lists of `lengths` ids, one after another in `flat`, as int64 (n, width) with padding at their ends."""
    rows = np.full((len(lengths), width), PADDING, dtype=np.int64)
    rows[np.arange(width) < lengths[:, None]] = flat
    return rows


@lru_cache(maxsize=8)
def _tokenizer(text: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    return Tokenizer.from_str(text)
