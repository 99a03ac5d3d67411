"""decodeImage: pixels beside the bytes; small images are filtered, broken ones are bad."""

import numpy as np
import pyarrow as pa

from headrace.api.media import Color, DecodeImage
from headrace_workers.data.images import shape_of
from headrace_workers.data.steps import decode_image
from tests.workers.sounds import picture

PIXELS = np.random.default_rng(4).integers(0, 256, (8, 6, 3), dtype=np.uint8)
TABLE = pa.table(
    {
        "id": ["whole", "small", "broken"],
        "content": [picture(PIXELS), picture(PIXELS[:4]), picture(PIXELS)[:-30]],
    }
)


def test_every_image_is_counted_once() -> None:
    """One goes on, one is too small, one cannot be decoded."""
    outcome = decode_image.apply(TABLE, DecodeImage(width=6, height=8, min_height=5))
    assert outcome.table["id"].to_pylist() == ["whole"]
    assert outcome.filtered == 1
    assert [(bad.code, bad.position) for bad in outcome.bad] == [("NotDecodable", "record broken")]
    assert outcome.table["image"][0].as_py() == PIXELS.transpose(2, 0, 1).reshape(-1).tolist()


def test_the_shape_travels_with_the_column() -> None:
    """Three colours are three images, gray is one."""
    for color, shape in ((Color.RGB, (3, 4, 5)), (Color.GRAY, (4, 5))):
        table = decode_image.apply(TABLE, DecodeImage(width=5, height=4, color=color)).table
        assert shape_of(table.schema.field("image")) == shape
        assert {len(pixels) for pixels in table["image"].to_pylist()} == {int(np.prod(shape))}
