"""How encoded bytes become an input, and how users send them."""

import numpy as np
import pytest

from headrace.api.media import Color, DecodeImage, DecodeSound, SoundFeatures
from headrace_workers.media import sound, sound_features
from headrace_workers.media.decoding import Decoding, received, sendable
from tests.workers.sounds import RATE, encoded, picture, tone

SOUND = DecodeSound(sample_rate=RATE, seconds=0.5)
HEARD = SoundFeatures(mels=20)


def test_sound_becomes_samples_or_what_is_heard() -> None:
    """Without features the samples are the input."""
    samples = sound.decoded(encoded(tone()), SOUND)
    np.testing.assert_array_equal(Decoding(SOUND).numbers(encoded(tone())), samples)
    np.testing.assert_array_equal(
        Decoding(SOUND, HEARD).numbers(encoded(tone())), sound_features.features(samples, RATE, HEARD)
    )


def test_images_become_pixels() -> None:
    """Nothing else is done to them."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    decoding = Decoding(DecodeImage(width=4, height=3, color=Color.GRAY))
    np.testing.assert_array_equal(decoding.numbers(picture(pixels)), pixels)


@pytest.mark.parametrize(
    "decoding", [Decoding(SOUND), Decoding(SOUND, HEARD), Decoding(DecodeImage(width=2, height=3, min_width=9))]
)
def test_nothing_can_be_sent(decoding: Decoding) -> None:
    """Silence and a black image are inputs like any other, also where small images are not."""
    assert np.isfinite(decoding.numbers(received(decoding.nothing()))).all()


def test_bytes_travel_as_base64() -> None:
    """What was sent is received."""
    assert received(sendable(bytes(range(256)))) == bytes(range(256))


@pytest.mark.parametrize("sent", [5, None, [1, 2], "not base64!", "YWJ", "ü"])
def test_what_is_not_base64_is_refused(sent: object) -> None:
    """Also other letters, and half of what was encoded."""
    with pytest.raises(ValueError, match="is not a text of base64"):
        received(sent)
