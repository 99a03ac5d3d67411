"""Sound from files to a table: every file is accounted for, and what is served is what was learnt from."""

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from headrace.api.run_report import Records
from headrace_workers.data import engine
from headrace_workers.data.sources import media_file
from headrace_workers.data.spread import in_process
from headrace_workers.storage import Folder
from tests.workers.data.builders import files, pipeline, prepare, table_of
from tests.workers.sounds import AUGMENT, DECODE, FEATURES, RATE, SCALE, SPLIT, encoded, picture, tone, write_tones

FORGIVING = {"quarantine": {"maxFraction": 1.0}}
EXACT = {"deduplicate": {"exact": {"columns": ["content"]}}}


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Twenty tones, one of them twice, and five files that are no whole sound."""
    folder = write_tones(tmp_path / "sounds")
    whole = (folder / "low" / "03.wav").read_bytes()
    (folder / "low" / "again.wav").write_bytes(whole)
    (folder / "low" / "empty.wav").write_bytes(b"")
    (folder / "low" / "cut.wav").write_bytes(whole[:1000])
    (folder / "high" / "cut.flac").write_bytes((folder / "high" / "03.flac").read_bytes()[:1000])
    (folder / "high" / "notes.txt").write_text("recorded outdoors")
    (folder / "high" / "cover.png").write_bytes(picture(np.zeros((4, 4), np.uint8)))
    return folder


def test_every_file_is_accounted_for(sounds: Path, tmp_path: Path) -> None:
    """Read is written, duplicates and quarantined; the quarantine has each with its position, and no bytes."""
    spec = pipeline(files(sounds, "Audio"), EXACT, DECODE, SPLIT, AUGMENT, FEATURES, SCALE, **FORGIVING)
    made = prepare(spec, tmp_path / "run")
    copies = made.records.augmented
    assert made.records == Records(read=26, written=20, duplicates=1, quarantined=5, augmented=copies)
    assert made.splits == {"train": 2 * copies, "validation": 20 - copies}
    lines = [
        json.loads(line)
        for file in sorted((tmp_path / "run" / "quarantine").iterdir())
        for line in file.read_text().splitlines()
    ]
    assert {(line["code"], line["source"]) for line in lines} == {
        ("EmptyFile", "record low/empty.wav"),
        ("Truncated", "record low/cut.wav"),
        ("NotDecodable", "record high/cut.flac"),
        ("UnknownForm", "record high/notes.txt"),
        ("UnknownForm", "record high/cover.png"),
    }
    assert all(len(line["record"]) < 200 for line in lines)


def test_a_table_of_sound_can_be_learnt_from(sounds: Path, tmp_path: Path) -> None:
    """Bytes, label and features, whose shape is known; copies have no bytes."""
    spec = pipeline(files(sounds, "Audio"), EXACT, DECODE, SPLIT, AUGMENT, FEATURES, SCALE, **FORGIVING)
    made = prepare(spec, tmp_path / "run")
    table = table_of(made)
    assert table.column_names == ["id", "split", "file", "label", "content", "features"]
    fitted = made.preprocessing
    assert (fitted.features, fitted.shape, fitted.classes, fitted.raw) == (
        "features", (24, 16), ("high", "low"), "content")  # fmt: skip
    assert {len(row) for row in table["features"].to_pylist()} == {24 * 16}
    assert [content is None for content in table["content"].to_pylist()] == [
        "#" in key for key in table["id"].to_pylist()
    ]


@pytest.mark.parametrize("steps", [(DECODE,), (DECODE, FEATURES), (DECODE, SPLIT, FEATURES, SCALE)])
def test_what_users_send_becomes_what_was_learnt_from(steps: tuple[dict, ...], tmp_path: Path) -> None:
    """A file as base64 becomes the numbers that stand in the table, to the last bit of float32 but for scaling."""
    made = prepare(pipeline(files(write_tones(tmp_path / "in"), "Audio"), *steps), tmp_path / "run")
    table = table_of(made)
    sent = [base64.b64encode(content).decode() for content in table["content"].to_pylist()]
    served = made.preprocessing.apply([sent[0], *({"content": each} for each in sent[1:])])
    learnt = np.array(table[made.preprocessing.features].to_pylist(), np.float32)
    np.testing.assert_allclose(served.reshape(learnt.shape), learnt, rtol=1e-6, atol=1e-6)
    assert served.shape[1:] == made.preprocessing.shape


def test_how_files_are_grouped_changes_nothing(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One task or many, one batch or many: the same records."""
    spec = pipeline(files(sounds, "Audio"), DECODE, SPLIT, AUGMENT, FEATURES, **FORGIVING)
    whole = table_of(prepare(spec, tmp_path / "whole")).sort_by("id")
    monkeypatch.setattr(media_file, "SHARD_FILES", 3)
    monkeypatch.setattr(media_file, "BATCH_BYTES", 6000)
    assert len(engine.planned(spec).shards) == 9
    assert table_of(prepare(spec, tmp_path / "parts")).sort_by("id").equals(whole)


def test_sounds_of_their_own_length_have_no_shape(tmp_path: Path) -> None:
    """They are written all the same, for those who know what to do with them."""
    made = prepare(
        pipeline(files(write_tones(tmp_path / "in"), "Audio"), {"decodeSound": {"sampleRate": RATE}}), tmp_path / "run"
    )
    assert (made.preprocessing.features, made.preprocessing.shape) == ("sound", None)
    assert len({len(row) for row in table_of(made)["sound"].to_pylist()}) == 10


def test_parquet_keeps_sound_and_its_shape(tmp_path: Path) -> None:
    """Written by the workers, as files of the table."""
    spec = pipeline(files(write_tones(tmp_path / "in"), "Audio"), DECODE, SPLIT, FEATURES, SCALE)
    table = Folder(f"file:{tmp_path}/table")
    made = engine.prepare(
        engine.planned(spec), Folder(f"file:{tmp_path}/run"), in_process, lambda *_: None, table=table
    )
    assert made.preprocessing.shape == (24, 16)
    written = pq.read_table([f"{tmp_path}/table/{name}" for name, _, _ in made.files])
    assert sorted(written["id"].to_pylist()) == sorted(
        [f"low/{n:02d}.wav" for n in range(10)] + [f"high/{n:02d}.flac" for n in range(10)]
    )


def test_what_names_say_is_part_of_the_recipe(tmp_path: Path) -> None:
    """The same files with other columns are another dataset; where they lie makes none."""
    for folder in ("one", "two"):
        write_tones(tmp_path / folder)
    digests = []
    for number, (folder, naming) in enumerate(
        (("one", "{label}/{a}."), ("two", "{label}/{a}."), ("one", "{label}/{b}."))
    ):
        source = {"files": files(tmp_path / folder, "Audio")["files"] | {"naming": f"{naming}{{form}}"}}
        digests.append(prepare(pipeline(source), tmp_path / f"run-{number}").digest)
    assert digests[0] == digests[1] != digests[2]


def test_folders_may_be_splits(tmp_path: Path) -> None:
    """Where data come divided already, no step divides them."""
    for split in ("train", "validation"):
        write_tones(tmp_path / "in" / split, each=3)
    source = {"files": files(tmp_path / "in", "Audio")["files"] | {"naming": "{split}/{label}/{name}"}}
    made = prepare(pipeline(source, DECODE, AUGMENT, FEATURES, SCALE), tmp_path / "run")
    assert (made.splits, made.records.augmented) == ({"train": 12, "validation": 6}, 6)


def test_hidden_labels_are_hidden_in_the_quarantine_too(sounds: Path, tmp_path: Path) -> None:
    """Names of files too, of which the columns are made."""
    hide = {"redact": {"column": "label", "entities": ["Email"]}}
    (sounds / "anna@example.com").mkdir()
    (sounds / "anna@example.com" / "a.wav").write_bytes(encoded(tone())[:100])
    (sounds / "anna@example.com" / "b.wav").write_bytes(b"")
    made = prepare(pipeline(files(sounds, "Audio"), hide, DECODE, **FORGIVING), tmp_path / "run")
    assert made.records.quarantined == 7
    lines = "".join(file.read_text() for file in sorted((tmp_path / "run" / "quarantine").iterdir()))
    assert "Truncated" in lines
    assert "anna@example.com" not in lines
