"""decodeSound: samples of encoded sound, of one channel and one rate."""

import pyarrow as pa

from headrace.api.media import DecodeSound
from headrace_workers.data.decoded_columns import decoded_metadata
from headrace_workers.data.images import shape_metadata
from headrace_workers.data.steps.decode import decoded
from headrace_workers.data.steps.step import Context, Outcome
from headrace_workers.media import sound

ALONE = Context("decodeSound")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: DecodeSound, context: Context = ALONE) -> Outcome:
    """The table with the column of samples added; what cannot be decoded is bad."""
    known = decoded_metadata(settings.column, settings.sample_rate)
    if length := sound.length(settings):
        known |= shape_metadata((length,))
    return decoded(table, settings, sound.decoded, known, context)
