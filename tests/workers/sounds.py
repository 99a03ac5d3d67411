"""Small sounds and images, the same encoded, and a folder of them as a dataset version that a pipeline made."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from headrace.api.artifacts import DatasetVersion
from tests.workers.data.builders import files, pipeline, version_of

RATE = 8000
DECODE = {"decodeSound": {"sampleRate": RATE, "seconds": 0.4}}
SPLIT = {"split": {"trainFraction": 0.5}}
FEATURES = {"soundFeatures": {"mels": 16, "windowMilliseconds": 32, "hopMilliseconds": 16}}
SCALE = {"scale": {"column": "features"}}
AUGMENT = {"augment": {"sound": {"gainDecibels": 6, "noiseDecibels": 20, "shiftMilliseconds": 20}}}


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


def write_tones(folder: Path, each: int = 10) -> Path:
    """The folder with so many low and so many high tones, each another one, as low/NUMBER.wav and high/NUMBER.flac."""
    for label, hertz, form in (("low", 200, "WAV"), ("high", 2000, "FLAC")):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            content = encoded(tone(hertz + 10 * number, seconds=0.3 + number / 100), form)
            (folder / label / f"{number:02d}.{form.lower()}").write_bytes(content)
    return folder


def tones_version(folder: Path, *steps: dict[str, Any], **more: Any) -> DatasetVersion:
    """The table of tones after these steps."""
    return version_of(pipeline(files(write_tones(folder / "tones"), "Audio"), *steps, **more), folder)
