"""augment.image: altered copies of images of the training split: shifted, rotated, with noise.

Every copy's changes come from the seed, the step's place, the record's id and the copy's number, never from the order
of records. Originals are never changed.
"""

from hashlib import blake2b

import numpy as np
import pyarrow as pa

from headrace.api.steps import Augment, AugmentImage
from headrace_workers.data.images import shape_of
from headrace_workers.data.steps.numbers import array_of, column_from
from headrace_workers.data.steps.step import Context, Outcome, column_of, with_column
from headrace_workers.faults import RunFault

ALONE = Context("augment")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: Augment, context: Context = ALONE) -> Outcome:
    """The table with the copies after the originals; a copy's id is <id>#<number>, its split its original's."""
    image = settings.image
    assert image is not None
    if "split" not in table.column_names:
        raise RunFault(
            "ColumnNotFound",
            f"{context.place} alters the training split only and there is no column split; put a split step before it",
        )
    column_of(table, image.column, context.place)
    training = table.filter(pa.array([value == "train" for value in table["split"].to_pylist()], pa.bool_()))
    if training.num_rows == 0:
        return Outcome(table)
    values = array_of(training, image.column, context.place)
    shape = shape_of(table.schema.field(image.column), values.shape[-1])
    if shape is None or len(shape) != 2 or values.ndim != 2 or shape[0] * shape[1] != values.shape[1]:
        raise RunFault(
            "ImageShapeUnknown",
            f"{context.place} needs square images as flat lists of pixels in the column {image.column}",
        )
    pixels = values.reshape(-1, *shape)
    ids = training["id"].to_pylist()
    copies = [_copy(training, image, pixels, ids, number, context) for number in range(1, image.copies + 1)]
    return Outcome(pa.concat_tables([table, *copies]), augmented=training.num_rows * image.copies)


def _copy(
    training: pa.Table, image: AugmentImage, pixels: np.ndarray, ids: list[str], number: int, context: Context
) -> pa.Table:
    altered = alter(pixels, image, [_generator(context, key, number) for key in ids])
    column = column_from(altered.reshape(len(ids), -1), training.schema.field(image.column).type)
    renamed = with_column(
        training, "id", pa.array([f"{key}#{number}" for key in ids], training.schema.field("id").type)
    )
    return with_column(renamed, image.column, column)


def _generator(context: Context, key: str, number: int) -> np.random.Generator:
    seed = blake2b(f"{context.seed}/{context.place}/{key}/{number}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(seed, "big")))


def alter(pixels: np.ndarray, settings: AugmentImage, generators: list[np.random.Generator]) -> np.ndarray:
    """Images (n, height, width), each altered by its own generator, inside its own range of values."""
    draws = np.array([generator.uniform(-1.0, 1.0, 3) for generator in generators])
    shifts = np.rint(draws[:, :2] * settings.shift_pixels)
    angles = np.deg2rad(draws[:, 2] * settings.rotate_degrees)
    low, high = pixels.min(axis=(1, 2), keepdims=True), pixels.max(axis=(1, 2), keepdims=True)
    moved = _move(pixels, shifts, angles, low)
    if settings.noise:
        deviation = settings.noise * (high - low)
        moved = moved + deviation * np.array([generator.standard_normal(pixels.shape[1:]) for generator in generators])
    altered: np.ndarray = np.clip(moved, low, high)
    return altered


def _move(pixels: np.ndarray, shifts: np.ndarray, angles: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Each image rotated about its centre, then shifted; bilinear between pixels, `fill` from outside."""
    count, height, width = pixels.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    y, x = np.meshgrid(np.arange(height) - centre_y, np.arange(width) - centre_x, indexing="ij")
    y, x = y - shifts[:, 0, None, None], x - shifts[:, 1, None, None]
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    from_y, from_x = cosine * y - sine * x + centre_y, sine * y + cosine * x + centre_x
    # Rounding keeps an unrotated image exact: cos(0) and sums of halves must not leak into neighbours.
    from_y, from_x = np.round(from_y, 9), np.round(from_x, 9)
    top, left = np.floor(from_y).astype(int), np.floor(from_x).astype(int)
    result: np.ndarray = np.zeros_like(pixels)
    for step_y in (0, 1):
        for step_x in (0, 1):
            at_y, at_x = top + step_y, left + step_x
            weight = (1 - np.abs(from_y - at_y)) * (1 - np.abs(from_x - at_x))
            inside = (at_y >= 0) & (at_y < height) & (at_x >= 0) & (at_x < width)
            found = pixels[np.arange(count)[:, None, None], at_y.clip(0, height - 1), at_x.clip(0, width - 1)]
            result = result + weight * np.where(inside, found, fill)
    return result
