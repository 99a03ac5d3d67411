"""Python's own sources as records."""

import sysconfig
from pathlib import Path

import pytest

from headrace.api.data_pipeline import Source
from headrace_workers.data.sources import python_source, sample
from headrace_workers.faults import RunFault

SOURCE = Source.model_validate({"sample": {"name": "PythonSource"}})


def test_files_are_cut_into_pieces_that_make_them_up() -> None:
    """Each record has a package, and those of a file are the file but for empty pieces."""
    shards = sample.shards(SOURCE)
    assert [shard.name for shard in shards] == list(python_source.PACKAGES)
    assert all(sample.digest(SOURCE, shard) == shard.state for shard in shards)
    (batch,) = sample.read(SOURCE, shards[0])
    rows = [row for row in batch.table.to_pylist() if row["file"] == "asyncio/base_events.py"]
    library = Path(sysconfig.get_path("stdlib"))
    assert "".join(row["text"] for row in rows) == (library / "asyncio/base_events.py").read_bytes().decode()
    assert rows[1]["id"] == "asyncio/base_events.py:17"
    assert {row["label"] for row in batch.table.to_pylist()} == {"asyncio"}
    assert batch.records > 200


def test_a_python_without_its_sources_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says where they were looked for."""
    monkeypatch.setattr(python_source.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(RunFault, match=f"not in {tmp_path}"):
        python_source.shards()
