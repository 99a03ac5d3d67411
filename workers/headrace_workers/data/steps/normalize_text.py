"""normalizeText: brings text into one form, so that equal texts are equal bytes."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import NormalizeText
from headrace_workers.data.steps.step import Context, Outcome, text_of, with_column

ALONE = Context("normalizeText")
"""Where the step stands when it is called by itself."""

PUNCTUATION = r"\p{P}+"
WHITE_SPACE = r"[\s\p{Z}]+"


def apply(table: pa.Table, settings: NormalizeText, context: Context = ALONE) -> Outcome:
    """The table with the column's texts normalised; missing texts stay missing."""
    text = pc.utf8_normalize(text_of(table, settings.column, context.place), form=settings.unicode.value)
    if settings.lowercase:
        text = pc.utf8_lower(text)
    if settings.strip_punctuation:
        text = pc.replace_substring_regex(text, PUNCTUATION, "")
    if settings.collapse_whitespace:
        text = pc.utf8_trim(pc.replace_substring_regex(text, WHITE_SPACE, " "), " ")
    return Outcome(with_column(table, settings.column, text))
