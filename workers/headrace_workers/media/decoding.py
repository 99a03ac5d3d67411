"""How encoded bytes become a model's input, and how users send them: as base64, which JSON can hold."""

import base64
import binascii
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from headrace.api.media import DecodeImage, DecodeSound, SoundFeatures
from headrace_workers.media import image, sound, sound_features

Numbers = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Decoding:
    """What the pipeline did to the encoded bytes in `decode.column`."""

    decode: DecodeSound | DecodeImage
    features: SoundFeatures | None = None

    def numbers(self, content: bytes) -> Numbers:
        """The input, float32 of the shape that the pipeline's has; Undecodable says what is wrong with the bytes."""
        if isinstance(self.decode, DecodeImage):
            return image.decoded(content, self.decode)
        samples = sound.decoded(content, self.decode)
        return sound_features.features(samples, self.decode.sample_rate, self.features) if self.features else samples

    def nothing(self) -> str:
        """Silence, or a black image, as a user would send it."""
        written = BytesIO()
        if isinstance(self.decode, DecodeImage):
            from PIL import Image

            size = (max(self.decode.min_width, self.decode.width), max(self.decode.min_height, self.decode.height))
            Image.new("RGB", size).save(written, "PNG")
        else:
            import soundfile

            soundfile.write(written, np.zeros(1, np.float32), self.decode.sample_rate, format="WAV")
        return sendable(written.getvalue())


def sendable(content: bytes) -> str:
    """Encoded bytes as JSON can hold them."""
    return base64.b64encode(content).decode()


def received(text: Any) -> bytes:
    """What `sendable` was given; ValueError if it is not base64."""
    if not isinstance(text, str):
        raise ValueError("is not a text of base64")  # noqa: TRY004 (as for numbers)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not a text of base64") from None
