"""soundFeatures: what is heard in each sound, in the place of its samples."""

import pyarrow as pa

from headrace.api.media import SoundFeatures
from headrace_workers.data.decoded_columns import rate_of
from headrace_workers.data.images import shape_metadata, shape_of
from headrace_workers.data.steps.lists import arrays_of, column_of_arrays, require_new, with_lists
from headrace_workers.data.steps.step import Context, Outcome, column_of
from headrace_workers.faults import RunFault
from headrace_workers.media import sound_features

ALONE = Context("soundFeatures")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: SoundFeatures, context: Context = ALONE) -> Outcome:
    """The table with a flat list of (frames, mels) or (frames, coefficients) for each sound, and without its samples."""
    column_of(table, settings.column, context.place)
    field = table.schema.field(settings.column)
    rate, shape = rate_of(field), shape_of(field)
    if rate is None:
        raise RunFault(
            "WrongColumnType",
            f"{context.place} needs sound that decodeSound made in the column {settings.column}; put decodeSound before it",
        )
    try:
        sound_features.bank(rate, settings)
    except ValueError as error:
        raise RunFault(
            "WrongSettings", f"{context.place}: {error}; ask for fewer mels, or a longer window, or other bounds"
        ) from None
    found = [
        sound_features.features(samples, rate, settings) for samples in arrays_of(table, settings.column, context.place)
    ]
    known = shape_metadata(sound_features.shape(shape[0], rate, settings)) if shape else {}
    left = table.drop_columns(settings.column)
    require_new(left, settings, context.place)
    return Outcome(with_lists(left, settings.into, column_of_arrays(found), known))
