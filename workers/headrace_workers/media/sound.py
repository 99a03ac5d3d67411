"""From encoded sound to samples: decoded, one channel, one rate, silence cut off, one length."""

from io import BytesIO
from typing import Any

import numpy as np

from headrace.api.media import DecodeSound
from headrace_workers.media import whole
from headrace_workers.media.forms import require_sound
from headrace_workers.media.undecodable import Undecodable

Samples = np.ndarray[Any, np.dtype[np.float32]]

BLOCK_SAMPLES = 65_536
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000
"""Samples a second that a file may claim: beyond them, a few bytes would become hours."""
LOUDEST = 1e6
"""Full scale is 1; of what is much louder the power would not be a number."""
PART_SECONDS = 0.01
"""What is compared with the loudest when silence is cut off."""


def decoded(content: bytes, settings: DecodeSound) -> Samples:
    """The sound as the settings want it, float32 (samples,), of full scale 1; Undecodable says what is wrong with it."""
    form = require_sound(content)
    whole.require_whole(content, form)
    samples, rate = _read(content, form, settings.max_seconds)
    if rate != settings.sample_rate:
        samples = _resampled(samples, rate, settings.sample_rate)
    if settings.trim_decibels is not None:
        samples = trimmed(samples, settings.sample_rate, settings.trim_decibels)
    if settings.seconds is not None:
        samples = fitted(samples, length(settings))
    return samples


def length(settings: DecodeSound) -> int:
    """The samples of each sound where the settings say how long it is; 0 where they do not."""
    return round((settings.seconds or 0.0) * settings.sample_rate)


def trimmed(samples: Samples, rate: int, decibels: float) -> Samples:
    """From the first to the last 10 ms whose root mean square is at most so far below that of the loudest 10 ms."""
    part = max(1, round(rate * PART_SECONDS))
    parts = -(-len(samples) // part)
    squares = fitted(samples, parts * part).astype(np.float64).reshape(parts, part) ** 2
    # The last part may be shorter, and is as loud as what is there of it.
    sizes = np.full(parts, part)
    sizes[-1] = len(samples) - (parts - 1) * part
    power = squares.sum(axis=1) / sizes
    loud = np.flatnonzero(power >= power.max() * 10 ** (-decibels / 10))
    return samples[loud[0] * part : (loud[-1] + 1) * part]


def fitted(samples: Samples, count: int) -> Samples:
    """The first `count` samples, with silence where there are fewer."""
    return np.pad(samples[:count], (0, max(0, count - len(samples))))


def _read(content: bytes, form: str, max_seconds: float) -> tuple[Samples, int]:
    # Blocks are mixed as they come: a file of many channels is never held whole.
    import soundfile

    blocks: list[Samples] = []
    count = 0
    try:
        with soundfile.SoundFile(BytesIO(content)) as opened:
            rate, said = int(opened.samplerate), int(opened.frames)
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise Undecodable("UnusualRate", f"claims {rate} samples a second")
            most = max_seconds * rate
            while count <= most and len(block := opened.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                blocks.append(block.mean(axis=1))
                count += len(block)
    except soundfile.LibsndfileError as error:
        raise Undecodable("NotDecodable", f"cannot be decoded as {form}: {error.error_string}") from None
    if count > most:
        raise Undecodable("TooLong", f"is longer than {max_seconds:g} s, which maxSeconds allows")
    if count < said:
        raise whole.truncated(count, said, "samples")
    if not count:
        raise Undecodable("NoSound", "has no samples")
    samples = np.concatenate(blocks)
    # Said this way round, NaN is beyond it.
    if not np.abs(samples).max() <= LOUDEST:
        raise Undecodable("OutOfRange", f"has samples that are no numbers, or beyond {LOUDEST:g} times full scale")
    return samples, rate


def _resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    import soxr

    resampled: Samples = soxr.resample(samples, rate, wanted)
    # A sound shorter than one sample at the new rate is one sample.
    return resampled if len(resampled) else np.zeros(1, np.float32)
