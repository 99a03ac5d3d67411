"""Sound and images: a file is a record."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from headrace.api.data_pipeline import Source
from headrace_workers.data.sources import files, media_file
from headrace_workers.data.sources.shard import Batch, Shard
from headrace_workers.faults import RunFault
from tests.workers.sounds import encoded, picture, tone

WAV = encoded(tone())


def source(uri: str, naming: str | None = None, form: str = "Audio") -> Source:
    """A source of sound, or of images."""
    more = {"naming": naming} if naming else {}
    return Source.model_validate({"files": {"uri": uri, "format": form, **more}})


def write(folder: Path, *names: str, content: bytes = WAV) -> Path:
    """The folder with files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def batches(found: Source) -> list[Batch]:
    """All batches of the source."""
    return [batch for shard in files.shards(found) for batch in files.read(found, shard)]


def test_a_file_is_a_record_with_its_folders_name(tmp_path: Path) -> None:
    """Its id is where it is below the folder; its label is what the folder is called in which it is; hidden files are none."""
    write(tmp_path / "data", "cat/b.wav", "cat/a.wav", "dog/deep/c.wav", ".hidden/d.wav", "cat/.e.wav", "_f.wav")
    (batch,) = batches(source(f"file:{tmp_path}/data"))
    assert batch.table.drop_columns("content").to_pylist() == [
        {"id": "cat/a.wav", "file": "cat/a.wav", "label": "cat"},
        {"id": "cat/b.wav", "file": "cat/b.wav", "label": "cat"},
        {"id": "dog/deep/c.wav", "file": "dog/deep/c.wav", "label": "deep"},
    ]
    assert batch.table["content"].to_pylist() == [WAV] * 3
    assert batch.bad == ()


@pytest.mark.parametrize("uri", ["data/cat", "data/cat/*.wav", "data/cat/a.wav", "data/*/a.wav"])
def test_the_label_is_the_same_however_the_file_is_found(tmp_path: Path, uri: str) -> None:
    """A file's folder is its folder, whether it is below what was asked for or not."""
    write(tmp_path, "data/cat/a.wav")
    (batch,) = batches(source(f"file:{tmp_path}/{uri}"))
    assert batch.table["label"].to_pylist() == ["cat"]


def test_names_fill_columns(tmp_path: Path) -> None:
    """Each takes as little as it can; what stands before the pattern may be anything; label is there only if it is named."""
    write(tmp_path, "zero/anna-1-loud.wav", "one/bo-2.wav")
    (batch,) = batches(source(f"file:{tmp_path}", "{digit}/{voice}-{take}.wav"))
    assert batch.table.drop_columns("content").to_pylist() == [
        {"id": "one/bo-2.wav", "file": "one/bo-2.wav", "digit": "one", "voice": "bo", "take": "2"},
        {
            "id": "zero/anna-1-loud.wav",
            "file": "zero/anna-1-loud.wav",
            "digit": "zero",
            "voice": "anna",
            "take": "1-loud",
        },
    ]


def test_no_name_takes_years() -> None:
    """Many names and many dashes could be divided in more ways than can be tried."""
    letters = "abcdefghijklmnopqrst"
    pattern = media_file.naming_pattern("-".join(f"{{{letter}}}" for letter in letters) + ".wav")
    assert pattern is not None
    assert pattern.fullmatch("file:///x/" + "a-" * 1000 + ".mp3") is None
    found = pattern.fullmatch("file:///x-y/" + "-".join(letters) + "-z.wav")
    assert found is not None
    assert found.groupdict() == {**{letter: letter for letter in letters[:-1]}, "t": "t-z"}


def test_a_file_of_another_name_is_bad(tmp_path: Path) -> None:
    """The others go on; a dot is a dot."""
    write(tmp_path, "a-1.wav", "b.wav", "c-1xwav")
    (batch,) = batches(source(f"file:{tmp_path}", "{voice}-{take}.wav"))
    assert batch.table["id"].to_pylist() == ["a-1.wav"]
    assert [(bad.code, bad.position) for bad in batch.bad] == [
        ("WrongName", "record b.wav"),
        ("WrongName", "record c-1xwav"),
    ]
    assert batch.bad[0].message == "the file is not named as source.files.naming {voice}-{take}.wav says" and batch.bad[
        0
    ].record == {"id": "b.wav", "file": "b.wav", "voice": None, "take": None}


def test_a_name_that_is_no_text_is_bad(tmp_path: Path) -> None:
    """File systems hold any bytes; what is told of them is text."""
    write(tmp_path, "a.wav", os.fsdecode(b"caf\xe9.wav"))
    found = source(f"file:{tmp_path}")
    (shard,) = files.shards(found)
    (batch,) = files.read(found, shard)
    assert batch.table["id"].to_pylist() == ["a.wav"]
    assert [(bad.code, bad.position) for bad in batch.bad] == [("WrongName", r"record caf\xe9.wav")]
    assert json.loads(batch.bad[0].line())["message"] == "the file has a name that is not UTF-8"
    assert len(files.digest(found, shard)) == 64


def test_a_column_named_twice_is_a_fault() -> None:
    """Before anything is read."""
    with pytest.raises(RunFault, match="names a column twice"):
        files.shards(source("file:/nowhere", "{a}-{a}.wav"))


def test_what_is_no_sound_is_bad(tmp_path: Path) -> None:
    """Empty files, other files, images among sounds; each with its position, none with its bytes."""
    write(tmp_path, "x/a.wav")
    write(tmp_path, "x/b.wav", content=b"")
    write(tmp_path, "x/c.txt", content=b"notes")
    write(tmp_path, "x/d.png", content=picture(np.zeros((2, 2), np.uint8)))
    (batch,) = batches(source(f"file:{tmp_path}"))
    assert batch.records == 4
    assert [(bad.stage, bad.code, bad.position) for bad in batch.bad] == [
        ("source", "EmptyFile", "record x/b.wav"),
        ("source", "UnknownForm", "record x/c.txt"),
        ("source", "UnknownForm", "record x/d.png"),
    ]
    assert batch.bad[1].record == {"id": "x/c.txt", "file": "x/c.txt", "label": "x"}
    (images,) = batches(source(f"file:{tmp_path}", form="Image"))
    assert images.table["id"].to_pylist() == ["x/d.png"]


def test_nothing_but_bad_files_is_an_account_too(tmp_path: Path) -> None:
    """The table has its columns, and no rows."""
    write(tmp_path, "a.wav", content=b"")
    (batch,) = batches(source(f"file:{tmp_path}"))
    assert (batch.table.column_names, batch.records) == (["id", "file", "label", "content"], 1)


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be held whole."""
    write(tmp_path, "a.wav")
    monkeypatch.setattr(media_file, "MOST_BYTES", len(WAV) - 1)
    (batch,) = batches(source(f"file:{tmp_path}"))
    assert [bad.code for bad in batch.bad] == ["TooLarge"]


def test_a_task_reads_many_files_and_not_too_many_bytes() -> None:
    """In order, so many at a time, and a large one alone."""
    sizes = [1, 1, media_file.SHARD_BYTES, 1, *[1] * media_file.SHARD_FILES]
    listed = [Shard(f"{number:03d}", f"file:///x/{number:03d}", size) for number, size in enumerate(sizes)]
    shards = media_file.grouped(listed)
    assert [len(shard.parts) for shard in shards] == [2, 1, 64, 1]
    assert [part for shard in shards for part in shard.parts] == listed
    assert (shards[0].name, shards[1].name, shards[0].size_bytes) == ("000 and 1 more", "002", 2)


def test_batches_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some files at a time are held."""
    write(tmp_path, "a.wav", "b.wav", "c.wav")
    monkeypatch.setattr(media_file, "BATCH_BYTES", len(WAV) + 1)
    assert [batch.table["id"].to_pylist() for batch in batches(source(f"file:{tmp_path}"))] == [
        ["a.wav", "b.wav"],
        ["c.wav"],
    ]


def test_a_shard_changes_with_each_of_its_files() -> None:
    """What was made of other files is not reused."""
    one, other = Shard("a", "file:///a", 1, "1"), Shard("b", "file:///b", 1, "1")
    states = {
        media_file.grouped(files)[0].state
        for files in ([one], [other], [one, other], [one, Shard("b", "file:///b", 1, "2")])
    }
    assert len(states) == 4


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    """Equal names and bytes have equal digests wherever they lie; bytes that move from one file to the next have another."""
    digests = []
    for folder, first, second in (("one", b"ab", b"c"), ("two", b"ab", b"c"), ("three", b"a", b"bc")):
        write(tmp_path / folder, "x.wav", content=first)
        write(tmp_path / folder, "y.wav", content=second)
        found = source(f"file:{tmp_path}/{folder}")
        digests.append(files.digest(found, files.shards(found)[0]))
    assert digests[0] == digests[1] != digests[2]


def test_a_compressed_name_is_a_name(tmp_path: Path) -> None:
    """Sound is compressed as it is; a file that only is called so is read."""
    write(tmp_path, "a.gz")
    (batch,) = batches(source(f"file:{tmp_path}"))
    assert batch.table["content"].to_pylist() == [WAV]
