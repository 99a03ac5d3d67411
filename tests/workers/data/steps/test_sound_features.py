"""soundFeatures: what is heard takes the place of the samples."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.media import DecodeSound, SoundFeatures
from headrace_workers.data.images import shape_of
from headrace_workers.data.steps import decode_sound, sound_features
from headrace_workers.faults import RunFault
from headrace_workers.media import sound_features as heard
from tests.workers.sounds import RATE, encoded, tone

ENCODED = pa.table({"id": ["a", "b"], "content": [encoded(tone()), encoded(tone(1000, seconds=0.3))]})
FIXED = decode_sound.apply(ENCODED, DecodeSound(sample_rate=RATE, seconds=0.4)).table
OWN = decode_sound.apply(ENCODED, DecodeSound(sample_rate=RATE)).table
SETTINGS = SoundFeatures(mels=20)


def test_each_sound_has_its_frames() -> None:
    """A flat list whose shape is in the column's metadata; the samples are gone."""
    table = sound_features.apply(FIXED, SETTINGS).table
    assert table.column_names == ["id", "content", "features"]
    assert shape_of(table.schema.field("features")) == (38, 20)
    samples = np.array(FIXED["sound"][1].as_py(), np.float32)
    expected = heard.features(samples, RATE, SETTINGS).reshape(-1)
    np.testing.assert_array_equal(np.array(table["features"][1].as_py(), np.float32), expected)


def test_sounds_of_their_own_length_have_no_shape() -> None:
    """And as many frames as they are long."""
    table = sound_features.apply(OWN, SETTINGS).table
    assert shape_of(table.schema.field("features")) is None
    assert [len(row) // 20 for row in table["features"].to_pylist()] == [48, 28]


def test_no_sounds_have_the_same_columns() -> None:
    """Batches of which nothing is left fit the others."""
    made, none = (sound_features.apply(table, SETTINGS).table for table in (FIXED, FIXED.slice(0, 0)))
    assert none.schema.equals(made.schema, check_metadata=True)


@pytest.mark.parametrize(
    ("table", "changes", "reason"),
    [
        (ENCODED, {}, "ColumnNotFound"),
        (pa.table({"id": ["a"], "sound": [[0.0, 1.0]]}), {}, "WrongColumnType"),
        (FIXED, {"high_hertz": 5000.0}, "WrongSettings"),
        (FIXED, {"mels": 400}, "WrongSettings"),
        (FIXED, {"into": "content"}, "ColumnExists"),
    ],
)
def test_what_cannot_be_heard_is_a_fault(table: pa.Table, changes: dict[str, Any], reason: str) -> None:
    """No sound, numbers without a rate, bands that hear nothing, a column that is there."""
    with pytest.raises(RunFault) as caught:
        sound_features.apply(table, SETTINGS.model_copy(update=changes))
    assert caught.value.reason == reason
