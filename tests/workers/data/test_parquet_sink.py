"""Plain Parquet as a sink: one version a run, whole or not at all, and the very same records as a Delta table gets."""

from pathlib import Path

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace_workers import parquet_versions
from headrace_workers.data import engine, parquet_sink
from headrace_workers.data.sink import Committed
from headrace_workers.data.spread import in_process
from headrace_workers.dataset_version import opened
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from tests.workers.data.builders import digits, identity, prepare, table_of

PLAN = "0123456789abcdef0123"


def prepared(folder: Path, run: int = 1) -> engine.Prepared:
    """The digits as files of the table already, after which only a manifest is missing."""
    table = parquet_sink.data_folder(f"file:{folder}/table", identity(run), PLAN)
    plan = engine.planned(digits())
    return engine.prepare(plan, Folder(f"file:{folder}/run-{run}"), in_process, lambda *_: None, table=table)


def version_of(folder: Path, made: Committed) -> DatasetVersion:
    return DatasetVersion(uri=f"file:{folder}/table", version=made.version, digest=made.digest, format="parquet")


def test_records_are_those_of_a_delta_table(tmp_path: Path) -> None:
    """In the same order, with the same account, splits, types and artefacts."""
    ours, theirs = prepared(tmp_path), prepare(digits(), tmp_path / "delta")
    made = parquet_sink.commit(f"file:{tmp_path}/table", identity(), PLAN, ours)
    assert opened(version_of(tmp_path, made)).to_table().equals(table_of(theirs))
    assert (made.records, made.splits, made.digest) == (theirs.records, theirs.splits, theirs.digest)
    assert ours.preprocessing == theirs.preprocessing


def test_nothing_is_seen_before_the_manifest(tmp_path: Path) -> None:
    """Files alone are no version; a run that was killed after them makes it one without writing them again."""
    ours, uri = prepared(tmp_path), f"file:{tmp_path}/table"
    assert parquet_versions.numbers(Folder(uri)) == []
    assert parquet_sink.find_commit(uri, identity(), PLAN) is None
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "table").rglob("*.parquet")}
    again = prepared(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "table").rglob("*.parquet")} == before
    assert again.files == ours.files
    made = parquet_sink.commit(uri, identity(), PLAN, again)
    assert parquet_sink.find_commit(uri, identity(), PLAN) == made == parquet_sink.commit(uri, identity(), PLAN, again)


def test_each_run_makes_a_version_and_older_ones_stay(tmp_path: Path) -> None:
    """What a run left that never finished goes when a later one has committed."""
    uri = f"file:{tmp_path}/table"
    first = parquet_sink.commit(uri, identity(1), PLAN, prepared(tmp_path, 1))
    prepared(tmp_path, 2)
    third = parquet_sink.commit(uri, identity(3), PLAN, prepared(tmp_path, 3))
    assert (first.version, third.version) == (0, 1)
    assert [path.name for path in sorted((tmp_path / "table" / "data").iterdir())] == [
        f"uid-1-{run}-0123456789abcdef" for run in (1, 3)
    ]
    rows = [opened(version_of(tmp_path, made)).count_rows() for made in (first, third)]
    assert rows == [sum(first.splits.values())] * 2


def test_of_two_writers_one_takes_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin of the same run finds the other's version; another run is told, and may try again."""
    uri, ours = f"file:{tmp_path}/table", prepared(tmp_path)
    made = parquet_sink.commit(uri, identity(), PLAN, ours)
    monkeypatch.setattr(parquet_versions, "numbers", lambda _: [])
    with pytest.raises(RunFault) as caught:
        parquet_sink.commit(uri, identity(2), PLAN, ours)
    assert (caught.value.reason, caught.value.retryable) == ("CommitConflict", True)
    monkeypatch.undo()
    blind = iter([[], []])
    monkeypatch.setattr(parquet_sink.parquet_versions, "numbers", lambda table: next(blind, [0]))
    assert parquet_sink.commit(uri, identity(), PLAN, ours) == made
