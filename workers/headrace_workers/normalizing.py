"""Text in one form: the one place where it is done, for the pipeline and for what is served."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import NormalizeText

PUNCTUATION = r"\p{P}+"
WHITE_SPACE = r"[\s\p{Z}]+"


def normalized(text: pa.ChunkedArray, settings: NormalizeText) -> pa.ChunkedArray:
    """The texts in the form that the settings say; missing texts stay missing."""
    text = pc.utf8_normalize(text, form=settings.unicode.value)
    if settings.lowercase:
        text = pc.utf8_lower(text)
    if settings.strip_punctuation:
        text = pc.replace_substring_regex(text, PUNCTUATION, "")
    if settings.collapse_whitespace:
        text = pc.utf8_trim(pc.replace_substring_regex(text, WHITE_SPACE, " "), " ")
    return text
