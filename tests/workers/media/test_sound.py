"""From encoded sound to samples."""

import numpy as np
import pytest
import soundfile

from headrace.api.media import DecodeSound
from headrace_workers.media import sound
from headrace_workers.media.undecodable import Undecodable
from tests.workers.sounds import RATE, encoded, tone

AS_IT_IS = DecodeSound(sample_rate=RATE)
SILENCE = np.zeros(RATE // 4, np.float32)


@pytest.mark.parametrize(("form", "tolerance"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.05), ("MP3", 0.05)])
def test_every_form_is_the_same_sound(form: str, tolerance: float) -> None:
    """What lossless forms keep comes back to within a step of 16 bits, of others something near it."""
    samples = sound.decoded(encoded(tone(), form), AS_IT_IS)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone(), atol=tolerance)


def test_channels_become_their_mean() -> None:
    """Two channels are one, half as loud where only one sounds."""
    both = np.stack([tone(), np.zeros_like(tone())], axis=1)
    np.testing.assert_allclose(sound.decoded(encoded(both), AS_IT_IS), tone() / 2, atol=1e-4)


@pytest.mark.parametrize("rate", [4000, 11_025, 44_100])
def test_every_rate_becomes_one(rate: int) -> None:
    """A tone has as many samples, and sounds the same, whatever rate it was recorded at."""
    samples = sound.decoded(encoded(tone(rate=rate), rate=rate), AS_IT_IS)
    assert abs(len(samples) - RATE // 2) <= 1
    # Resampling rings at the ends.
    np.testing.assert_allclose(samples[400:-400], tone()[400 : len(samples) - 400], atol=2e-3)


def test_what_is_above_half_the_rate_is_lost() -> None:
    """A tone that the new rate cannot hold is silenced, and not heard as another."""
    samples = sound.decoded(encoded(tone(15_000, rate=44_100), rate=44_100), AS_IT_IS)
    assert np.abs(samples[400:-400]).max() < 1e-3


def test_silence_is_cut_off_both_ends() -> None:
    """What is left begins and ends within 10 ms of the sound; a pause in it stays."""
    samples = np.concatenate([SILENCE, tone(), SILENCE, tone(), SILENCE])
    trimmed = sound.decoded(encoded(samples), AS_IT_IS.model_copy(update={"trim_decibels": 40.0}))
    assert len(trimmed) == 2 * len(tone()) + len(SILENCE)
    quiet = np.concatenate([tone(height=0.001), tone()])
    assert len(sound.trimmed(quiet, RATE, 40.0)) == len(tone())
    assert len(sound.trimmed(quiet, RATE, 60.0)) == len(quiet)


def test_nothing_but_silence_stays() -> None:
    """Where nothing is louder than anything else, nothing is cut."""
    assert len(sound.trimmed(SILENCE, RATE, 40.0)) == len(SILENCE)
    assert len(sound.trimmed(SILENCE[:3], RATE, 40.0)) == 3


def test_every_sound_gets_one_length() -> None:
    """A short one ends in silence, a long one early."""
    settings = AS_IT_IS.model_copy(update={"seconds": 0.6})
    short, long = (sound.decoded(encoded(tone(seconds=seconds)), settings) for seconds in (0.5, 0.7))
    assert len(short) == len(long) == sound.length(settings) == 4800
    assert np.abs(short[4000:]).max() == 0
    assert np.abs(long[4000:]).max() > 0.4


def test_a_sound_may_be_shorter_than_a_sample() -> None:
    """One sample of a high rate is at least one of a low rate."""
    assert len(sound.decoded(encoded(np.ones(1, np.float32), rate=192_000), AS_IT_IS)) == 1


def _of_rate(rate: int) -> bytes:
    content = bytearray(encoded(tone()))
    content[24:28] = rate.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "EmptyFile", "is empty"),
        (b"This is not a sound.", "UnknownForm", "does not begin as"),
        (encoded(tone())[:-1], "Truncated", "is cut off: 7999 of 8000 bytes of sound are there"),
        (encoded(tone(), "FLAC")[:-500], "NotDecodable", "cannot be decoded as FLAC: .*lost sync"),
        (encoded(tone(), "OGG")[:-500], "Truncated", "its last page is not there"),
        (encoded(tone(seconds=3), "MP3")[:-2000], "Truncated", "is cut off: [0-9]+ of 24000 samples are there"),
        (b"fLaC" + bytes(100), "NotDecodable", "cannot be decoded as FLAC"),
        (b"\xff\xfb" + bytes(100), "NotDecodable", "cannot be decoded as MP3"),
        (encoded(SILENCE[:0]), "NoSound", "has no samples"),
        (encoded(tone(seconds=1.1)), "TooLong", "is longer than 1 s, which maxSeconds allows"),
        (_of_rate(1), "UnusualRate", "claims 1 samples a second"),
        (encoded(np.array([0, np.nan], np.float32), subtype="FLOAT"), "OutOfRange", "samples that are no numbers"),
        (encoded(np.array([0, -np.inf], np.float32), subtype="FLOAT"), "OutOfRange", "samples that are no numbers"),
        (encoded(np.array([0, 2e6], np.float32), subtype="FLOAT"), "OutOfRange", "beyond 1e\\+06 times full scale"),
    ],
    # Named, as WAV of floats has the second in which it was written.
    ids=["empty", "text", "cut WAV", "cut FLAC", "cut OGG", "cut MP3", "FLAC of zeros", "MP3 of zeros", "no sample", "too long",
         "one sample a second", "no number", "infinite", "too loud"],
)  # fmt: skip
def test_what_is_wrong_is_said(content: bytes, code: str, said: str) -> None:
    """Each way in which a file is broken has its code and its sentence, the same every time."""
    sentences = set()
    for _ in range(2):
        with pytest.raises(Undecodable, match=said) as caught:
            sound.decoded(content, DecodeSound(sample_rate=RATE, max_seconds=1.0 if code != "Truncated" else 60.0))
        sentences.add(str(caught.value))
    assert caught.value.code == code
    assert len(sentences) == 1


def test_many_channels_are_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long sound is read in blocks, each of which is mixed before the next comes."""
    asked: list[int] = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, **more: asked.append(frames) or read(self, frames, **more)
    )
    long = np.tile(tone(seconds=10.0), (4, 1)).T
    np.testing.assert_allclose(sound.decoded(encoded(long), AS_IT_IS), tone(seconds=10.0), atol=1e-4)
    assert asked == [sound.BLOCK_SAMPLES] * 3
