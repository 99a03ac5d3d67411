"""Files: which files a URI means, and in which order."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.api.data_pipeline import Source
from headrace_workers.data.sources import files
from headrace_workers.faults import RunFault


def source(uri: str, file_format: str = "Text") -> Source:
    """A source of files."""
    return Source.model_validate({"files": {"uri": uri, "format": file_format}})


def texts(found: Source) -> list[str]:
    """All texts of the source."""
    return [
        text
        for shard in files.shards(found)
        for batch in files.read(found, shard)
        for text in batch.table["text"].to_pylist()
    ]


def test_a_file_a_folder_and_a_pattern_are_found(tmp_path: Path) -> None:
    """A URI may name one file, a folder with all below it, or a pattern."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("two\n")
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "deep" / "c.txt").write_text("three\n")
    (tmp_path / "_SUCCESS").write_text("no data\n")
    assert texts(source(f"file:{tmp_path}/a.txt")) == ["one"]
    assert texts(source(f"file://{tmp_path}/*.txt")) == ["one", "two"]
    assert texts(source(f"file:{tmp_path}")) == ["one", "two", "three"]
    assert [shard.name for shard in files.shards(source(f"file:{tmp_path}"))] == ["a.txt", "b.txt", "deep/c.txt"]


def test_no_files_is_a_fault_that_names_the_address(tmp_path: Path) -> None:
    """Where nothing is, the fault says where was looked."""
    with pytest.raises(RunFault, match="missing has no files") as caught:
        files.shards(source(f"file:{tmp_path}/missing"))
    assert caught.value.reason == "SourceNotFound"


def test_compressed_files_are_read(tmp_path: Path) -> None:
    """A name that ends in .gz is decompressed."""
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n\ntwo\n"))
    assert texts(source(f"file:{tmp_path}")) == ["one", "two"]


def test_a_text_line_that_is_not_utf8_is_bad(tmp_path: Path) -> None:
    """Wrong bytes cost one line."""
    (tmp_path / "a.txt").write_bytes(b"one\n\xff\ntwo\n")
    found = source(f"file:{tmp_path}")
    (batch,) = files.read(found, files.shards(found)[0])
    assert batch.table["id"].to_pylist() == ["a.txt:1", "a.txt:3"]
    assert [(bad.code, bad.position) for bad in batch.bad] == [("BadEncoding", "file a.txt line 2")]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Parquet's own types come through, with ids of file and row."""
    pq.write_table(pa.table({"x": pa.array([1.5, None], pa.float32())}), tmp_path / "a.parquet")
    found = source(f"file:{tmp_path}", "Parquet")
    (batch,) = files.read(found, files.shards(found)[0])
    assert batch.table.to_pylist() == [{"id": "a.parquet:1", "x": 1.5}, {"id": "a.parquet:2", "x": None}]


def test_a_broken_parquet_file_is_a_fault_that_names_it(tmp_path: Path) -> None:
    """A file that is no Parquet stops the run and is named."""
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    found = source(f"file:{tmp_path}", "Parquet")
    with pytest.raises(RunFault, match=r"file a\.parquet cannot be read as Parquet") as caught:
        list(files.read(found, files.shards(found)[0]))
    assert caught.value.reason == "SourceUnreadable"


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    """Equal names and bytes have equal digests wherever they lie; other bytes have others."""
    digests = []
    for folder, content in (("one", "x"), ("two", "x"), ("three", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(content)
        found = source(f"file:{tmp_path}/{folder}")
        digests.append(files.digest(found, files.shards(found)[0]))
    assert digests[0] == digests[1] != digests[2]
