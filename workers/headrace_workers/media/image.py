"""From encoded images to pixels: upright, of one size, in one sort of colour."""

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.api.media import Color, DecodeImage
from headrace_workers.media.forms import require_image
from headrace_workers.media.undecodable import TooSmall, Undecodable

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000
"""A few bytes may claim more pixels than memory holds."""


def decoded(content: bytes, settings: DecodeImage) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Pixels from 0 to 255 as float32, (height, width) of Gray and (3, height, width) of Rgb.

    It is turned as its EXIF says, and resized with antialiasing, its proportions not kept; transparency is dropped.
    Undecodable says what is wrong with it, TooSmall that it has fewer pixels than are kept.
    """
    from PIL import Image, ImageOps

    form = require_image(content)
    try:
        with Image.open(BytesIO(content), formats=(form,)) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise Undecodable("TooLarge", f"has more than {MOST_PIXELS} pixels")
            opened.load()
            upright = ImageOps.exif_transpose(opened)
    except Image.DecompressionBombError:
        raise Undecodable("TooLarge", f"has more than {MOST_PIXELS} pixels") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, Undecodable):
            raise
        raise Undecodable("NotDecodable", f"cannot be decoded as {form}: {error}") from None
    width, height = upright.size
    if width < settings.min_width or height < settings.min_height:
        raise TooSmall(
            "TooSmall", f"is {width} x {height} pixels, not {settings.min_width} x {settings.min_height} at least"
        )
    coloured = _eight_bits(upright).convert("L" if settings.color is Color.GRAY else "RGB")
    resized = coloured.resize((settings.width, settings.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(resized, dtype=np.float32)
    return pixels if settings.color is Color.GRAY else pixels.transpose(2, 0, 1)


def shape(settings: DecodeImage) -> tuple[int, ...]:
    """The shape of what is decoded."""
    size = (settings.height, settings.width)
    return size if settings.color is Color.GRAY else (3, *size)


def _eight_bits(image: "Image") -> "Image":
    """Sixteen bits a pixel would be cut off at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
