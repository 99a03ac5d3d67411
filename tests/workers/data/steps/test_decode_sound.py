"""decodeSound: samples beside the bytes; what cannot be decoded goes to the quarantine alone."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.media import DecodeSound
from headrace_workers.data.decoded_columns import rate_of
from headrace_workers.data.images import shape_of
from headrace_workers.data.steps import decode_sound
from headrace_workers.data.steps.step import Context
from headrace_workers.faults import RunFault
from tests.workers.sounds import RATE, encoded, tone

SETTINGS = DecodeSound(sample_rate=RATE)
WAV = encoded(tone())
TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "content": pa.array([WAV, WAV[:-2], None, encoded(tone(seconds=0.25))], pa.binary()),
        "label": ["x", "y", "y", "x"],
    }
)


def test_good_sounds_go_on_and_bad_ones_do_not() -> None:
    """The bytes stay; the quarantine has the record, how many bytes it had, and what was wrong."""
    outcome = decode_sound.apply(TABLE, SETTINGS, Context("steps[0].decodeSound"))
    assert outcome.table.column_names == ["id", "content", "label", "sound"]
    assert outcome.table["id"].to_pylist() == ["a", "d"]
    assert outcome.table["content"].to_pylist() == [WAV, TABLE["content"][3].as_py()]
    assert [len(samples) for samples in outcome.table["sound"].to_pylist()] == [RATE // 2, RATE // 4]
    np.testing.assert_allclose(outcome.table["sound"][0].as_py(), tone(), atol=1e-4)
    cut, missing = outcome.bad
    assert (cut.stage, cut.code, cut.position, cut.column) == (
        "steps[0].decodeSound", "Truncated", "record b", "content")  # fmt: skip
    assert cut.message == "column content is cut off: 7998 of 8000 bytes of sound are there"
    assert cut.record == {"id": "b", "content": f"[{len(WAV) - 2} bytes]", "label": "y"}
    assert (missing.code, missing.record) == ("MissingValue", {"id": "c", "content": None, "label": "y"})
    assert outcome.filtered == 0


def test_the_rate_and_the_length_travel_with_the_column() -> None:
    """The length only where every sound has it, also where no sound is left."""
    field = decode_sound.apply(TABLE, SETTINGS).table.schema.field("sound")
    assert (rate_of(field), shape_of(field)) == (RATE, None)
    fixed = SETTINGS.model_copy(update={"seconds": 0.3})
    for table in (TABLE, TABLE.slice(1, 2), TABLE.slice(0, 0)):
        outcome = decode_sound.apply(table, fixed)
        field = outcome.table.schema.field("sound")
        assert (rate_of(field), shape_of(field), field.type) == (RATE, (2400,), pa.list_(pa.float32()))
        assert {len(samples) for samples in outcome.table["sound"].to_pylist()} <= {2400}


def test_the_bytes_need_not_stay() -> None:
    """Where nobody is to listen to them; the quarantine still says how many there were."""
    outcome = decode_sound.apply(TABLE, SETTINGS.model_copy(update={"keep_content": False}))
    assert outcome.table.column_names == ["id", "label", "sound"]
    assert outcome.bad == decode_sound.apply(TABLE, SETTINGS).bad


def test_other_columns_are_refused() -> None:
    """A column of text is no sound, and one that is there is not written over."""
    with pytest.raises(RunFault, match="needs encoded bytes in the column label, which holds string"):
        decode_sound.apply(TABLE, DecodeSound(column="label"))
    with pytest.raises(RunFault, match="names the column bytes, which is not there"):
        decode_sound.apply(TABLE, DecodeSound(column="bytes"))
    with pytest.raises(RunFault, match="would add the column label, which is there already"):
        decode_sound.apply(TABLE, DecodeSound(into="label"))
