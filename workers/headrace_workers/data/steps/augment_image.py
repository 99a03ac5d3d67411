"""augment.image: images shifted, rotated, with noise."""

from math import prod

import numpy as np
import pyarrow as pa

from headrace.api.steps import AugmentImage
from headrace_workers.data.images import shape_of
from headrace_workers.data.steps.numbers import array_of, column_from
from headrace_workers.faults import RunFault


def altered(training: pa.Table, settings: AugmentImage, generators: list[np.random.Generator], place: str) -> pa.Array:
    """The records' images, each altered by its own generator."""
    field = training.schema.field(settings.column)
    values = array_of(training, settings.column, place)
    shape = shape_of(field, values.shape[-1])
    if shape is None or len(shape) not in (2, 3) or values.ndim != 2 or prod(shape) != values.shape[1]:
        raise RunFault(
            "ImageShapeUnknown",
            f"{place} needs images as flat lists of pixels in the column {settings.column}: square ones, or what decodeImage made",
        )
    pixels = values.reshape(-1, prod(shape[:-2]), *shape[-2:])
    return column_from(alter(pixels, settings, generators).reshape(len(values), -1), field.type)


def alter(pixels: np.ndarray, settings: AugmentImage, generators: list[np.random.Generator]) -> np.ndarray:
    """Images (n, colours, height, width), each altered by its own generator, inside its own range of values."""
    draws = np.array([generator.uniform(-1.0, 1.0, 3) for generator in generators])
    shifts = np.rint(draws[:, :2] * settings.shift_pixels)
    angles = np.deg2rad(draws[:, 2] * settings.rotate_degrees)
    low, high = pixels.min(axis=(1, 2, 3), keepdims=True), pixels.max(axis=(1, 2, 3), keepdims=True)
    moved = np.stack([_move(pixels[:, color], shifts, angles, low[:, 0]) for color in range(pixels.shape[1])], axis=1)
    if settings.noise:
        deviation = settings.noise * (high - low)
        moved = moved + deviation * np.array([generator.standard_normal(pixels.shape[1:]) for generator in generators])
    changed: np.ndarray = np.clip(moved, low, high)
    return changed


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
