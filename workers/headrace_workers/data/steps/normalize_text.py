"""normalizeText: brings text into one form, so that equal texts are equal bytes."""

from collections.abc import Callable

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


def columns_of(settings: NormalizeText) -> tuple[str, ...]:
    """The column that it rewrites."""
    return (settings.column,)


def concealer(settings: NormalizeText, context: Context = ALONE) -> Callable[[str, str, str], str]:
    """What makes of one value what the step makes of it, so that a step after it finds what it would have found."""
    return lambda text, _column, _record: str(normalized(pa.chunked_array([[text]], pa.string()), settings)[0])
