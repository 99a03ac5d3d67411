"""Every run of three words of each text as one number: a single pass over the bytes, compiled by numba.

A word is what `str.split` takes for one. Its hash is FNV-1a; those of three words are mixed so that their order counts.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy import uint64

Array = Any
"""One-dimensional, of numpy."""

FNV_BASIS, FNV_PRIME = uint64(0xCBF29CE484222325), uint64(0x100000001B3)
ODD = uint64(0x9E3779B97F4A7C15)
IN_WORD, WHITE, PERHAPS = 0, 1, 2
SPACES = [character for character in map(chr, range(0x3001)) if character.isspace()]
WIDE_WHITE = np.array([[*each.encode().ljust(3, b"\0")] for each in SPACES if ord(each) > 127], np.uint8)
KINDS = np.zeros(256, np.uint8)
"""Of each byte whether it is in a word, white space, or perhaps the first of white space: asked of a table, which is nine
times as fast as comparisons."""
KINDS[[ord(each) for each in SPACES if ord(each) < 128]] = WHITE
KINDS[WIDE_WHITE[:, 0]] = PERHAPS


def shingle_hashes(texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """All hashes (uint64), text after text, and where each text's begin and end (one more than texts): of a text of fewer than three words one of the whole."""
    array = pc.fill_null(texts, "").cast(pa.large_string()).combine_chunks()
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, array.offset * 8)
    content = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    # No more than one word in two bytes, and one hash for a text without any.
    hashes = np.empty(int(ends[-1] - ends[0]) // 2 + 2 * len(array), np.uint64)
    bounds = np.zeros(len(array) + 1, np.uint64)
    _fill(content, ends, KINDS, hashes, bounds)
    return hashes[: int(bounds[-1])], bounds


@njit(nogil=True)
def _fill(content: Array, ends: Array, kinds: Array, hashes: Array, bounds: Array) -> None:
    count = 0
    for text in range(bounds.size - 1):
        at, end = ends[text], ends[text + 1]
        before, last, word = uint64(0), uint64(0), FNV_BASIS
        words, inside = 0, False
        while at <= end:
            kind, width = (kinds[content[at]], 1) if at < end else (WHITE, 1)
            if kind == PERHAPS:
                width = _wide_white(content, at, end)
                kind, width = (WHITE, width) if width else (IN_WORD, 1)
            if kind == IN_WORD:
                word = (word ^ uint64(content[at])) * FNV_PRIME
                inside = True
            elif inside:
                words += 1
                if words >= 3:
                    hashes[count] = _mixed(before, last, word)
                    count += 1
                before, last, word = last, word, FNV_BASIS
                inside = False
            at += width
        if words < 3:
            hashes[count] = _mixed(before, last, uint64(words))
            count += 1
        bounds[text + 1] = count


@njit(nogil=True, inline="always")
def _mixed(first: Any, second: Any, third: Any) -> Any:
    mixed = ((first * ODD + second) * ODD + third) * ODD
    mixed = (mixed ^ (mixed >> uint64(32))) * ODD
    return mixed ^ (mixed >> uint64(29))


@njit(nogil=True)
def _wide_white(content: Array, at: int, end: int) -> int:
    """The bytes of the white space beyond ASCII that begins here in UTF-8; 0 if none does."""
    for row in range(WIDE_WHITE.shape[0]):
        width = 2 if WIDE_WHITE[row, 2] == 0 else 3
        if at + width <= end:
            same = content[at] == WIDE_WHITE[row, 0] and content[at + 1] == WIDE_WHITE[row, 1]
            if same and (width == 2 or content[at + 2] == WIDE_WHITE[row, 2]):
                return width
    return 0
