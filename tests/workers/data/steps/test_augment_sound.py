"""augment.sound: louder or quieter, earlier or later, with noise; between decodeSound and soundFeatures."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.media import AugmentSound, DecodeSound
from headrace.api.steps import Augment
from headrace_workers.data.decoded_columns import rate_of
from headrace_workers.data.steps import augment, augment_sound, decode_sound
from headrace_workers.faults import RunFault
from tests.workers.sounds import RATE, encoded, tone

SETTINGS = AugmentSound(gain_decibels=6, noise_decibels=20, shift_milliseconds=50, copies=2)


def altered(settings: AugmentSound, seed: int = 1, samples: np.ndarray | None = None) -> np.ndarray:
    """One tone, altered."""
    return augment_sound.alter(
        tone() if samples is None else samples, RATE, settings, np.random.Generator(np.random.SFC64(seed))
    )


def test_copies_keep_their_rate_and_lose_their_bytes() -> None:
    """A copy's samples are not those of its original's file."""
    encoded_table = pa.table(
        {
            "id": ["a", "b"],
            "content": [encoded(tone())] * 2,
            "other": [b"1", b"2"],
            "split": ["train", "validation"],
            "label": ["x", "y"],
        }
    )
    table = decode_sound.apply(encoded_table, DecodeSound(sample_rate=RATE)).table
    outcome = augment.apply(table, Augment(sound=SETTINGS))
    assert outcome.augmented == 2
    assert outcome.table["id"].to_pylist() == ["a", "b", "a#1", "a#2"]
    assert [content is None for content in outcome.table["content"].to_pylist()] == [False, False, True, True]
    assert outcome.table["other"].to_pylist() == [b"1", b"2", b"1", b"1"]
    assert outcome.table["label"].to_pylist() == ["x", "y", "x", "x"]
    assert rate_of(outcome.table.schema.field("sound")) == RATE
    first, _, one, two = outcome.table["sound"].to_pylist()
    assert len(first) == len(one) == len(two)
    assert first != one != two


def test_no_change_asked_is_no_change_made() -> None:
    """Copies without gain, shift or noise are exact."""
    np.testing.assert_array_equal(altered(AugmentSound()), tone())


def test_the_gain_lies_within_its_bounds() -> None:
    """In decibels, both ways, and reaching near both bounds."""
    gains = [
        20 * np.log10(np.abs(altered(AugmentSound(gain_decibels=6), seed)).max() / np.abs(tone()).max())
        for seed in range(50)
    ]
    assert -6 <= min(gains) < -4
    assert 4 < max(gains) <= 6


def test_noise_has_the_ratio_that_was_asked_for() -> None:
    """Of powers, in decibels, whatever the gain."""
    for ratio in (0.0, 20.0):
        clean = altered(AugmentSound(gain_decibels=6))
        noise = altered(AugmentSound(gain_decibels=6, noise_decibels=ratio)) - clean
        assert 10 * np.log10((clean**2).mean() / (noise**2).mean()) == pytest.approx(ratio, abs=0.3)
        assert abs(noise.mean()) < 3 * noise.std() / np.sqrt(len(noise))


def test_a_shift_moves_the_sound_and_leaves_silence() -> None:
    """Earlier or later by whole samples; nothing comes round from the other end."""
    click = np.zeros(RATE, np.float32)
    click[RATE // 2] = 1
    places = [int(altered(AugmentSound(shift_milliseconds=50), seed, click).argmax()) - RATE // 2 for seed in range(50)]
    assert -400 <= min(places) < -300
    assert 300 < max(places) <= 400
    far = altered(AugmentSound(shift_milliseconds=60_000), 1, tone())
    assert len(far) == len(tone())
    assert np.abs(far).max() == 0


def test_silence_stays_silent() -> None:
    """There is no ratio to nothing; a sound without samples has none after."""
    assert np.abs(altered(SETTINGS, 1, np.zeros(100, np.float32))).max() == 0
    assert len(altered(SETTINGS, 1, np.zeros(0, np.float32))) == 0


def test_only_sound_is_altered() -> None:
    """Numbers without a rate are no sound."""
    table = pa.table({"id": ["a"], "sound": [[0.0, 1.0]], "split": ["train"]})
    with pytest.raises(RunFault, match="put it between decodeSound and soundFeatures"):
        augment.apply(table, Augment(sound=SETTINGS))
