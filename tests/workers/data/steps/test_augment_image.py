"""augment.image: images shifted, rotated, with noise."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.steps import Augment, AugmentImage
from headrace_workers.data.images import shape_metadata, shape_of
from headrace_workers.data.steps import augment, augment_image
from headrace_workers.faults import RunFault
from tests.workers.data.pictures import BOTH, IMAGES, TABLE


def test_no_change_asked_is_no_change_made() -> None:
    """Copies without shift, rotation or noise are exact."""
    outcome = augment.apply(TABLE, Augment(image=AugmentImage()))
    assert outcome.table["image"].to_pylist()[4] == outcome.table["image"].to_pylist()[0]


def test_a_shift_moves_whole_pixels() -> None:
    """A shifted image is the image, moved, with its lowest value at the edge."""
    generator = np.random.default_rng(5)
    image = IMAGES[:1].reshape(1, 1, 8, 8).astype(np.float64)
    moved = augment_image.alter(image, AugmentImage(shift_pixels=2), [generator])[0, 0]
    down, right = np.rint(np.random.default_rng(5).uniform(-1, 1, 3)[:2] * 2).astype(int)
    expected = np.full((8, 8), image.min())
    for y in range(8):
        for x in range(8):
            if 0 <= y - down < 8 and 0 <= x - right < 8:
                expected[y, x] = image[0, 0, y - down, x - right]
    np.testing.assert_allclose(moved, expected)


def test_copies_stay_inside_the_images_range() -> None:
    """Noise never leaves the range that validate allowed."""
    values = np.array(augment.apply(TABLE, BOTH).table["image"].to_pylist())
    assert values.min() >= 0
    assert values.max() <= 16


def test_colours_move_together() -> None:
    """Three equal ones stay equal, and are what one alone becomes; noise is each one's own."""
    moving = AugmentImage(shift_pixels=2, rotate_degrees=20)
    gray = IMAGES.reshape(4, 1, 8, 8).astype(np.float64)
    one, three = (
        augment_image.alter(pixels, moving, [np.random.default_rng(seed) for seed in range(4)])
        for pixels in (gray, np.repeat(gray, 3, axis=1))
    )
    np.testing.assert_array_equal(three, np.repeat(one, 3, axis=1))
    noisy = augment_image.alter(np.repeat(gray, 3, axis=1), AugmentImage(noise=0.1), [np.random.default_rng(0)] * 4)
    assert not np.array_equal(noisy[:, 0], noisy[:, 1])


def test_coloured_images_keep_their_shape() -> None:
    """What decodeImage made of three colours is altered as it is."""
    field = pa.field("image", pa.list_(pa.float32()), metadata=shape_metadata((1, 4, 16)))
    outcome = augment.apply(TABLE.set_column(1, field, TABLE["image"]), BOTH)
    assert shape_of(outcome.table.schema.field("image")) == (1, 4, 16)
    assert {len(pixels) for pixels in outcome.table["image"].to_pylist()} == {64}


def test_lists_without_a_shape_are_no_images() -> None:
    """What is shifted and rotated has a height and a width."""
    for shape in ((64,), (8, 9)):
        field = pa.field("image", pa.list_(pa.float32()), metadata=shape_metadata(shape))
        with pytest.raises(RunFault, match="needs images as flat lists of pixels"):
            augment.apply(TABLE.set_column(1, field, TABLE["image"]), BOTH)
