"""normalizeText: brings text into one form, so that equal texts are equal bytes."""

import pyarrow as pa

from headrace.api.steps import NormalizeText
from headrace_workers.data.steps.step import Context, Outcome, text_of, with_column
from headrace_workers.normalizing import normalized

ALONE = Context("normalizeText")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: NormalizeText, context: Context = ALONE) -> Outcome:
    """The table with the column's texts normalised; missing texts stay missing."""
    text = normalized(text_of(table, settings.column, context.place), settings)
    return Outcome(with_column(table, settings.column, text))
