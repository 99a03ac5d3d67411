"""The short way that most text takes comes to what the long one does."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.steps import NormalizeText, UnicodeForm
from headrace_workers import normalizing
from headrace_workers.normalizing import normalized

PIECES = [
    "Ab",
    "c.d",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "\f",
    "\v",
    "\x1c",
    "\x1f",
    "é",
    "ﬁ",
    "Ⅳ",
    "\u00a0",
    "\u2028",
    "\u3000",
    "İ",
    "ß",
    "«",
    "",
]


def texts(seed: int, count: int = 300) -> pa.ChunkedArray:
    random = np.random.default_rng(seed)
    made = [
        "".join(random.choice(PIECES[: int(random.choice([3, 14, len(PIECES)]))], random.integers(0, 9)))
        for _ in range(count)
    ]
    return pa.chunked_array(
        [pa.array([None, *made[:100]]), pa.array(made[100:200]), pa.array(made[200:]), pa.array([], pa.string())]
    )


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("form", list(UnicodeForm))
def test_all_rows_come_to_the_same(flags: tuple[bool, bool, bool], form: UnicodeForm) -> None:
    """ASCII or not, mixed in one batch, of every setting; missing texts stay missing."""
    lowercase, strip, collapse = flags
    settings = NormalizeText(unicode=form, lowercase=lowercase, strip_punctuation=strip, collapse_whitespace=collapse)
    text = texts(int(lowercase) + 2 * strip + 4 * collapse)
    expected = [normalizing._any(chunk, settings).to_pylist() for chunk in text.chunks]
    assert normalized(text, settings).to_pylist() == list(itertools.chain(*expected))
