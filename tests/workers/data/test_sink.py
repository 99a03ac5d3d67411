"""The sink: one version a run, whole or not at all."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace_workers.data import engine, sink
from tests.workers.data.builders import digits, identity, prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> engine.Prepared:
    """The digits, ready to be committed."""
    return prepare(digits(), tmp_path_factory.mktemp("run"))


def test_a_commit_is_found_again_with_its_account(prepared: engine.Prepared, tmp_path: Path) -> None:
    """What a killed run needs for its report is in the table's history."""
    uri = f"file:{tmp_path}/table"
    assert sink.find_commit(uri, identity(), "plan") is None
    made = sink.commit(uri, identity(), "plan", prepared)
    assert made == sink.Committed(0, prepared.digest, prepared.records, prepared.splits)
    assert sink.find_commit(uri, identity(), "plan") == made


def test_the_same_run_commits_once(prepared: engine.Prepared, tmp_path: Path) -> None:
    """Committing again changes nothing; another run makes the next version."""
    uri = f"file:{tmp_path}/table"
    assert sink.commit(uri, identity(), "plan", prepared) == sink.commit(uri, identity(), "plan", prepared)
    assert sink.commit(uri, identity(run=2), "plan", prepared).version == 1


def test_a_twin_that_commits_meanwhile_wins(
    prepared: engine.Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two heads of one run that both found nothing, the second takes the first one's commit for its own."""
    uri = f"file:{tmp_path}/table"
    sink.commit(uri, identity(), "plan", prepared)
    stale = DeltaTable(sink.address(uri))
    first = sink.commit(uri, identity(run=2), "plan", prepared)
    seen = iter([stale, DeltaTable(sink.address(uri))])
    monkeypatch.setattr(sink, "_table", lambda _: next(seen))
    assert sink.commit(uri, identity(run=2), "plan", prepared) == first
    assert DeltaTable(sink.address(uri)).version() == 1


def test_the_table_holds_the_records_of_its_newest_version(prepared: engine.Prepared, tmp_path: Path) -> None:
    """A new version replaces the records; the older one can still be read."""
    uri = f"file:{tmp_path}/table"
    for run in (1, 2):
        sink.commit(uri, identity(run), "plan", prepared)
    newest, older = DeltaTable(sink.address(uri)), DeltaTable(sink.address(uri), version=0)
    rows = [table.count() for table in (newest, older)]
    assert rows == [sum(prepared.splits.values())] * 2
