"""What is to be known of a decoded column travels in its metadata."""

import pyarrow as pa

from headrace_workers.data.decoded_columns import decoded_metadata, rate_of, source_of
from headrace_workers.data.images import shape_metadata, shape_of


def test_it_is_read_as_it_was_written() -> None:
    """Beside the shape; of other columns nothing is known."""
    sound = pa.field("sound", pa.list_(pa.float32()), metadata=decoded_metadata("größe", 8000) | shape_metadata((5,)))
    assert (source_of(sound), rate_of(sound), shape_of(sound)) == ("größe", 8000, (5,))
    image = pa.field("image", pa.list_(pa.float32()), metadata=decoded_metadata("content"))
    assert (source_of(image), rate_of(image)) == ("content", None)
    other = pa.field("x", pa.int64())
    assert (source_of(other), rate_of(other)) == (None, None)
