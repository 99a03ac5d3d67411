"""filter: drops records that do not qualify, and counts them."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import Filter
from headrace_workers.data.steps.step import Context, Outcome, text_of

ALONE = Context("filter")
"""Where the step stands when it is called by itself."""

IN_WORD = np.array([not chr(byte).isspace() or byte > 127 for byte in range(256)])
"""Of each byte of ASCII, whether it is in a word."""
FILE_SEPARATOR = 28
"""The first of four control characters that are white space."""
BLOCK_BYTES = 1 << 18


def apply(table: pa.Table, settings: Filter, context: Context = ALONE) -> Outcome:
    """The records whose text is in one of the languages and has neither too few nor too many words; a missing one is in none and has none."""
    text = text_of(table, settings.column, context.place)
    left = table
    if settings.min_words is not None or settings.max_words is not None:
        left = table.filter(_within(word_counts(text), settings))
    if settings.languages:
        # Its compiler takes seconds to import, which other pipelines need not wait for.
        from headrace_workers.data.steps.languages import chances

        likely = chances(text_of(left, settings.column, context.place), settings.languages) >= settings.min_confidence
        left = left.filter(pa.array(likely))
    return Outcome(left, filtered=table.num_rows - left.num_rows)


def _within(words: pa.ChunkedArray, settings: Filter) -> pa.ChunkedArray:
    kept = pc.greater_equal(words, settings.min_words or 0)
    return kept if settings.max_words is None else pc.and_(kept, pc.less_equal(words, settings.max_words))


def word_counts(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """How many words, separated by white space, each text has; a missing one has none."""
    return pa.chunked_array([_counts(chunk) for chunk in text.chunks], pa.int64())


def _counts(text: pa.Array) -> pa.Array:
    counts = _counts_of_bytes(text)
    wide = pc.invert(pc.fill_null(pc.string_is_ascii(text), True))
    if pc.any(wide).as_py():
        trimmed = pc.utf8_trim_whitespace(text.filter(wide))
        found = pc.list_value_length(pc.utf8_split_whitespace(trimmed)).cast(pa.int64())
        counts = pc.replace_with_mask(counts, wide, pc.if_else(pc.equal(trimmed, ""), pa.scalar(0, pa.int64()), found))
    return counts


def _counts_of_bytes(text: pa.Array) -> pa.Array:
    """How often a word begins in each text, where only ASCII is white space: no list of words is made."""
    large = pc.fill_null(text, "").cast(pa.large_string())
    _, offsets, data = large.buffers()
    ends = np.frombuffer(offsets, np.int64, len(large) + 1, large.offset * 8)
    content = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    # Some texts at a time, which stay in the processor's cache.
    cuts = np.searchsorted(ends, np.arange(ends[0], ends[-1], BLOCK_BYTES))
    bounds = np.unique(np.concatenate([[0], cuts, [len(large)]]))
    counts = [_begins(content, ends[first : last + 1]) for first, last in pairwise(bounds)]
    return pa.array(np.concatenate([np.zeros(0, np.int64), *counts]))


def _begins(content: np.ndarray, ends: np.ndarray) -> np.ndarray:
    block = content[ends[0] : ends[-1]]
    inside = block > ord(" ")
    if ((block < ord("\t")) | ((block > ord("\r")) & (block < FILE_SEPARATOR))).any():
        inside = IN_WORD[block]
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    firsts = ends[:-1][ends[:-1] < ends[1:]] - ends[0]
    begins[firsts] = inside[firsts]
    return np.diff(np.searchsorted(np.flatnonzero(begins), ends - ends[0]))
