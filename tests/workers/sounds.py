"""Small sounds and images, and the same encoded."""

from io import BytesIO

import numpy as np
import soundfile
from PIL import Image

RATE = 8000


def tone(hertz: float = 440.0, seconds: float = 0.5, rate: int = RATE, height: float = 0.5) -> np.ndarray:
    """A sine as float32 (samples,)."""
    return (height * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples: np.ndarray, form: str = "WAV", rate: int = RATE, subtype: str | None = None) -> bytes:
    """Samples (n,) or (n, channels) as a file of WAV, FLAC, OGG or MP3."""
    written = BytesIO()
    soundfile.write(written, samples, rate, format=form, subtype=subtype)
    return written.getvalue()


def picture(pixels: np.ndarray, form: str = "PNG", **more: object) -> bytes:
    """Pixels (height, width), or (height, width, 3), from 0 to 255, as a file of PNG or JPEG."""
    written = BytesIO()
    Image.fromarray(pixels).save(written, form, **more)
    return written.getvalue()
