"""What is heard in a sound, against another implementation and against what must be so."""

import numpy as np
import pytest
import scipy.fft
from transformers import audio_utils

from headrace.api.media import MelScale, SoundFeatures, SoundMethod
from headrace_workers.media import sound_features
from tests.workers.sounds import tone

RATE = 16_000
CHIRP = (0.3 * np.sin(2 * np.pi * 300 * np.linspace(0, 1, RATE) * (1 + np.linspace(0, 1, RATE)))).astype(np.float32)
SOUND = CHIRP + 0.05 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32)


def oracle(scale: MelScale, low: float, high: float) -> np.ndarray:
    """The same by the package transformers, which has its own filters, windows and frames."""
    filters = audio_utils.mel_filter_bank(
        num_frequency_bins=257,
        num_mel_filters=40,
        min_frequency=low,
        max_frequency=high,
        sampling_rate=RATE,
        norm="slaney" if scale is MelScale.SLANEY else None,
        mel_scale=scale.value.lower(),
    )
    spectrum = audio_utils.spectrogram(
        SOUND,
        audio_utils.window_function(400, "hann", periodic=True),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        mel_filters=filters,
        mel_floor=1e-10,
        log_mel="log",
    )
    return spectrum.T


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(MelScale.SLANEY, 0.0, None), (MelScale.HTK, 0.0, None), (MelScale.HTK, 20.0, 7600.0)]
)
def test_log_mel_is_what_others_hear(scale: MelScale, low: float, high: float | None) -> None:
    """To within the rounding of float32, in both conventions."""
    settings = SoundFeatures(mel_scale=scale, low_hertz=low, high_hertz=high)
    found = sound_features.features(SOUND, RATE, settings)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle(scale, low, high or RATE / 2), atol=2e-5)


def test_mfcc_is_the_cosine_transform_of_log_mel() -> None:
    """Orthonormal, its first coefficients."""
    settings = SoundFeatures(method=SoundMethod.MFCC, coefficients=20)
    expected = scipy.fft.dct(oracle(MelScale.SLANEY, 0.0, RATE / 2), type=2, norm="ortho", axis=1)[:, :20]
    np.testing.assert_allclose(sound_features.features(SOUND, RATE, settings), expected, atol=5e-5)


def test_a_tone_is_loudest_in_its_own_band() -> None:
    """Of two tones the higher one is heard in a higher band."""
    bands = [
        int(sound_features.features(tone(hertz, rate=RATE), RATE, SoundFeatures())[10].argmax())
        for hertz in (200, 400, 1600, 6400)
    ]
    assert bands == sorted(set(bands))


def test_silence_is_the_floor() -> None:
    """The logarithm of nothing is that of 1e-10."""
    found = sound_features.features(np.zeros(RATE, np.float32), RATE, SoundFeatures())
    np.testing.assert_allclose(found, np.log(1e-10), rtol=1e-6)


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 559, 560, 16_000])
@pytest.mark.parametrize("method", list(SoundMethod))
def test_the_shape_is_known_before(samples: int, method: SoundMethod) -> None:
    """Also of sounds shorter than a window, and where the hop does not divide what is left."""
    settings = SoundFeatures(method=method)
    found = sound_features.features(SOUND[:samples], RATE, settings)
    assert found.shape == sound_features.shape(samples, RATE, settings)
    assert found.shape[1] == (40 if method is SoundMethod.LOG_MEL else 13)


def test_a_frame_depends_on_its_own_samples_alone() -> None:
    """A sound's frames are those of its parts, so that batches and workers make no difference."""
    whole = sound_features.features(SOUND, RATE, SoundFeatures())
    later = sound_features.features(SOUND[1600:], RATE, SoundFeatures())
    np.testing.assert_allclose(later, whole[10:], atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "changes", "said"),
    [
        (8000, {"high_hertz": 4001.0}, "not within what 8000 samples a second hold, 0 to 4000 Hz"),
        (8000, {"low_hertz": 4000.0}, "not within what 8000 samples a second hold"),
        (8000, {"mels": 256}, "256 mels are too many for 256 points at 8000 samples a second"),
    ],
)
def test_bands_that_hear_nothing_are_refused(rate: int, changes: dict[str, float], said: str) -> None:
    """A column that is always the floor would be learnt from."""
    with pytest.raises(ValueError, match=said):
        sound_features.bank(rate, SoundFeatures().model_copy(update=changes))
