"""augment.image: images shifted, rotated, with noise."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.steps import Augment, AugmentImage
from headrace_workers.data.images import shape_metadata
from headrace_workers.data.steps import augment, augment_image
from headrace_workers.faults import RunFault

IMAGES = np.random.default_rng(3).uniform(0, 16, (4, 64)).astype(np.float32)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        pa.field("image", pa.list_(pa.float32()), metadata=shape_metadata((8, 8))),
        ("label", pa.int64()),
        ("split", pa.string()),
    ]
)
TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "image": IMAGES.tolist(),
        "label": [0, 1, 2, 3],
        "split": ["train", "validation", "train", "train"],
    },
    schema=SCHEMA,
)
BOTH = Augment(image=AugmentImage(shift_pixels=1, rotate_degrees=10, noise=0.1, copies=2))


def test_no_change_asked_is_no_change_made() -> None:
    """Copies without shift, rotation or noise are exact."""
    outcome = augment.apply(TABLE, Augment(image=AugmentImage()))
    assert outcome.table["image"].to_pylist()[4] == outcome.table["image"].to_pylist()[0]


def test_a_shift_moves_whole_pixels() -> None:
    """A shifted image is the image, moved, with its lowest value at the edge."""
    generator = np.random.default_rng(5)
    image = IMAGES[:1].reshape(1, 8, 8).astype(np.float64)
    moved = augment_image.alter(image, AugmentImage(shift_pixels=2), [generator])[0]
    down, right = np.rint(np.random.default_rng(5).uniform(-1, 1, 3)[:2] * 2).astype(int)
    expected = np.full((8, 8), image.min())
    for y in range(8):
        for x in range(8):
            if 0 <= y - down < 8 and 0 <= x - right < 8:
                expected[y, x] = image[0, y - down, x - right]
    np.testing.assert_allclose(moved, expected)


def test_copies_stay_inside_the_images_range() -> None:
    """Noise never leaves the range that validate allowed."""
    values = np.array(augment.apply(TABLE, BOTH).table["image"].to_pylist())
    assert values.min() >= 0
    assert values.max() <= 16


def test_images_of_colours_are_refused() -> None:
    """What is shifted and rotated is one image, whose shape is known."""
    field = pa.field("image", pa.list_(pa.float32()), metadata=shape_metadata((1, 8, 8)))
    with pytest.raises(RunFault, match="needs images of one colour"):
        augment.apply(TABLE.set_column(1, field, TABLE["image"]), BOTH)
