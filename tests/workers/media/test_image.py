"""From encoded images to pixels."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from headrace.api.media import Color, DecodeImage
from headrace_workers.media import image
from headrace_workers.media.undecodable import TooSmall, Undecodable
from tests.workers.sounds import picture

COLOURS = np.random.default_rng(2).integers(0, 256, (6, 4, 3), dtype=np.uint8)
GRAYS = COLOURS[:, :, 0]
AS_IT_IS = DecodeImage(width=4, height=6)


def test_colours_come_one_after_another() -> None:
    """An image is one of red, one of green, one of blue, from 0 to 255."""
    pixels = image.decoded(picture(COLOURS), AS_IT_IS)
    assert (pixels.dtype, pixels.shape) == (np.float32, image.shape(AS_IT_IS))
    np.testing.assert_array_equal(pixels, COLOURS.transpose(2, 0, 1))


def test_gray_is_one_number_a_pixel() -> None:
    """A gray image stays as it is; a coloured one becomes its luma (ITU-R 601)."""
    settings = AS_IT_IS.model_copy(update={"color": Color.GRAY})
    np.testing.assert_array_equal(image.decoded(picture(GRAYS), settings), GRAYS)
    luma = COLOURS.astype(float) @ [0.299, 0.587, 0.114]
    found = image.decoded(picture(COLOURS), settings)
    assert found.shape == image.shape(settings) == (6, 4)
    np.testing.assert_allclose(found, luma, atol=1)


def test_a_large_image_becomes_means() -> None:
    """Halved, each pixel is near the mean of its neighbourhood, and none is left out."""
    fine = np.kron(GRAYS, np.ones((8, 8), np.uint8))
    fine[::2] = 0
    found = image.decoded(picture(fine), DecodeImage(width=4, height=6, color=Color.GRAY))
    assert abs(found.mean() - fine.mean()) < 5


def test_sixteen_bits_are_scaled() -> None:
    """The brightest of sixteen bits is the brightest of eight."""
    deep = np.array([[0, 32_768, 65_535]], np.uint16)
    found = image.decoded(picture(deep), DecodeImage(width=3, height=1, color=Color.GRAY))
    assert found.tolist() == [[0, 128, 255]]


def test_a_photograph_is_turned_upright() -> None:
    """A camera that was held sideways says so in the file."""
    written = BytesIO()
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(GRAYS).save(written, "PNG", exif=tags)
    found = image.decoded(written.getvalue(), DecodeImage(width=6, height=4, color=Color.GRAY))
    np.testing.assert_array_equal(found, np.rot90(GRAYS, -1))


def test_few_pixels_are_too_small() -> None:
    """The fewest that are kept are kept."""
    with pytest.raises(TooSmall, match="is 4 x 6 pixels, not 1 x 7 at least"):
        image.decoded(picture(COLOURS), AS_IT_IS.model_copy(update={"min_height": 7}))
    with pytest.raises(TooSmall):
        image.decoded(picture(COLOURS), AS_IT_IS.model_copy(update={"min_width": 5}))
    assert image.decoded(picture(COLOURS), AS_IT_IS.model_copy(update={"min_width": 4, "min_height": 6})).size


NOISE = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EmptyFile"),
        (b"GIF89a", "UnknownForm"),
        (picture(NOISE)[:-500], "NotDecodable"),
        (picture(NOISE, "JPEG")[:-500], "NotDecodable"),
        (picture(NOISE)[:20], "NotDecodable"),
        (picture(NOISE)[:16] + b"\x7f\xff" + picture(NOISE)[18:], "NotDecodable"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, code: str) -> None:
    """Each way in which a file is broken has its code."""
    with pytest.raises(Undecodable) as caught:
        image.decoded(content, AS_IT_IS)
    assert caught.value.code == code


@pytest.mark.parametrize("side", [9000, 1_000_000])
def test_an_image_of_too_many_pixels_is_not_decoded(side: int) -> None:
    """Its size is known before memory is taken for it, and a few bytes can claim any."""
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    content = picture(NOISE)
    bomb = content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]
    with pytest.raises(Undecodable, match="has more than 64000000 pixels") as caught:
        image.decoded(bomb, AS_IT_IS)
    assert caught.value.code == "TooLarge"
