"""augment: altered copies of records of the training split; what is altered, and how, is its image's, sound's or text's.

Every copy's changes come from the seed, the step's place, the record's id and the copy's number, never from the order
of records. Originals are never changed. A copy lacks the encoded bytes of its original, which are not what it holds.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.api.steps import Augment
from headrace_workers.data.decoded_columns import source_of
from headrace_workers.data.steps import augment_image, augment_sound, augment_text
from headrace_workers.data.steps.step import Context, Outcome, column_of, with_column
from headrace_workers.faults import RunFault

ALONE = Context("augment")
"""Where the step stands when it is called by itself."""

ALTERED: Mapping[str, Callable[[pa.Table, Any, list[np.random.Generator], str], pa.Array]] = {
    "image": augment_image.altered,
    "sound": augment_sound.altered,
    "text": augment_text.altered,
}


def apply(table: pa.Table, settings: Augment, context: Context = ALONE) -> Outcome:
    """The table with the copies after the originals; a copy's id is <id>#<number>, its split its original's."""
    if "split" not in table.column_names:
        raise RunFault(
            "ColumnNotFound",
            f"{context.place} alters the training split only and there is no column split; put a split step before it",
        )
    column_of(table, settings.value.column, context.place)
    training = table.filter(pa.array([value == "train" for value in table["split"].to_pylist()], pa.bool_()))
    if training.num_rows == 0:
        return Outcome(table)
    copies = [_copy(training, settings, number, context) for number in range(1, settings.value.copies + 1)]
    return Outcome(pa.concat_tables([table, *copies]), augmented=training.num_rows * settings.value.copies)


def _copy(training: pa.Table, settings: Augment, number: int, context: Context) -> pa.Table:
    ids = training["id"].to_pylist()
    generators = [_generator(context, key, number) for key in ids]
    values = ALTERED[settings.chosen](training, settings.value, generators, context.place)
    copy = with_column(training, settings.value.column, values)
    encoded = source_of(training.schema.field(settings.value.column))
    if encoded in training.column_names:
        copy = with_column(copy, encoded, pa.nulls(len(ids), training.schema.field(encoded).type))
    return with_column(copy, "id", pa.array([f"{key}#{number}" for key in ids], training.schema.field("id").type))


def _generator(context: Context, key: str, number: int) -> np.random.Generator:
    seed = blake2b(f"{context.seed}/{context.place}/{key}/{number}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(seed, "big")))
