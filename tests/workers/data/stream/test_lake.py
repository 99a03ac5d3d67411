"""A Stream's table: many small commits, few files, and what a head finds when it starts."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.api.run_report import Records
from headrace_workers.data.stream.lake import Lake
from headrace_workers.data.stream.state import State
from headrace_workers.faults import RunFault
from tests.workers.data.builders import identity

MOST_FILES = 20


def rows(epoch: int) -> pa.Table:
    """The rows of an epoch."""
    return pa.table({"id": [f"{epoch}/{row}" for row in range(3)], "split": ["train"] * 3, "value": [1.0, 2.0, 3.0]})


def state(epoch: int) -> State:
    """The state after an epoch."""
    return State(epoch=epoch, writer="w", offsets={"t/0": 3 * epoch}, records=Records(read=3 * epoch))


def test_what_a_head_finds(tmp_path: Path) -> None:
    """The last commit says its run, its state, and where reading goes on, also after other writers' commits."""
    uri = f"file:{tmp_path}/table"
    assert Lake(uri, identity()).last_commit() is None
    lake = Lake(uri, identity())
    for epoch in (1, 2):
        lake.append(rows(epoch), state(epoch), "digest")
    write_deltalake(str(tmp_path / "table"), rows(3), mode="append")
    lake = Lake(uri, identity(run=2))
    lake.compact(2)
    last = Lake(uri, identity(run=2)).last_commit()
    assert last is not None
    assert (last.run, last.epoch, last.state, last.offsets) == (1, 2, state(2).name, {"t/0": 6})


def test_a_column_keeps_its_type(tmp_path: Path) -> None:
    """The fault names the column and both types; whole numbers fit into a column of fractions."""
    lake = Lake(f"file:{tmp_path}/table", identity())
    lake.append(rows(1), state(1), "digest")
    whole = rows(2).set_column(2, "value", pa.array([1, 2, 3]))
    assert lake.append(whole, state(2), "digest") == 1
    text = rows(3).set_column(2, "value", pa.array(["1", "2", "3"]))
    with pytest.raises(RunFault, match="the column value holds string after the steps, and double in the table"):
        lake.append(text, state(3), "digest")
    assert DeltaTable(str(tmp_path / "table")).version() == 1


def commit_many(folder: Path, commits: int) -> None:
    """Commits as a stream does, and looks after each that there are few files and that what was reported can be read."""
    lake = Lake(f"file:{folder}/table", identity())
    reported = 0
    for epoch in range(1, commits + 1):
        lake.append(rows(epoch), state(epoch), "digest")
        lake.compact(16)
        assert len(lake.sizes) <= MOST_FILES
        assert lake.version is not None
        reported = reported or lake.version
    table = DeltaTable(str(folder / "table"))
    assert table.count() == 3 * commits
    ids = table.to_pyarrow_table(columns=["id"])["id"]
    assert len(ids.unique()) == 3 * commits
    assert DeltaTable(str(folder / "table"), version=lake.version).count() == 3 * commits


def test_many_commits_make_few_files(tmp_path: Path) -> None:
    """Five minutes of commits each second."""
    commit_many(tmp_path, 300)


@pytest.mark.slow
def test_an_hour_of_commits_makes_few_files(tmp_path: Path) -> None:
    """An hour of commits each second leaves 20 files at most, at any time."""
    commit_many(tmp_path, 3600)
