"""decodeImage: pixels of encoded images, of one size and one sort of colour."""

import pyarrow as pa

from headrace.api.media import DecodeImage
from headrace_workers.data.decoded_columns import decoded_metadata
from headrace_workers.data.images import shape_metadata
from headrace_workers.data.steps.decode import decoded
from headrace_workers.data.steps.step import Context, Outcome
from headrace_workers.media import image

ALONE = Context("decodeImage")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: DecodeImage, context: Context = ALONE) -> Outcome:
    """The table with the column of pixels added; what cannot be decoded is bad, what is too small is dropped."""
    known = decoded_metadata(settings.column) | shape_metadata(image.shape(settings))
    return decoded(table, settings, image.decoded, known, context)
