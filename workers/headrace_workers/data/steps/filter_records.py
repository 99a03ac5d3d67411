"""filter: drops records that do not qualify, and counts them."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import Filter
from headrace_workers.data.steps.step import Context, Outcome, text_of

ALONE = Context("filter")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: Filter, context: Context = ALONE) -> Outcome:
    """The records whose text has neither too few nor too many words; a missing text has none."""
    words = word_counts(text_of(table, settings.column, context.place))
    kept = pc.greater_equal(words, settings.min_words or 0)
    if settings.max_words is not None:
        kept = pc.and_(kept, pc.less_equal(words, settings.max_words))
    left = table.filter(kept)
    return Outcome(left, filtered=table.num_rows - left.num_rows)


def word_counts(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """How many words, separated by white space, each text has."""
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(text, ""))
    counts = pc.list_value_length(pc.utf8_split_whitespace(trimmed))
    return pc.if_else(pc.equal(trimmed, ""), 0, counts)
