"""A query of a real database (SQLite), in ranges: every row once, whatever its key; and what cannot be read gets a sentence."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from headrace.api import environment
from headrace_workers.data.sources import sql_query
from headrace_workers.faults import RunFault
from tests.workers.data.builders import pipeline, prepare, table_of

URL = {"name": "database", "key": "url"}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    monkeypatch.setattr(sql_query, "RANGE_ROWS", 10)
    monkeypatch.setenv(environment.SQL_URL, f"sqlite:///{tmp_path}/data.db")
    return sqlite3.connect(tmp_path / "data.db")


def fill(database: sqlite3.Connection, rows: list[tuple[Any, ...]], columns: str = "key, value, note") -> None:
    database.execute(f"CREATE TABLE events ({columns})")
    database.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(rows[0]))})", rows)
    database.commit()


def source(query: str = "SELECT * FROM events", key: str = "key") -> dict[str, Any]:
    return {"sql": {"url": URL, "query": query, "key": key}}


@pytest.mark.parametrize(
    "keys",
    [
        list(range(95)),
        [number // 25 for number in range(95)],
        [f"k{number * 7 % 95:02d}" for number in range(95)],
        [number / 4 for number in range(95)],
        [5] * 95,
    ],
    ids=["numbers", "many with one key", "text, out of order", "fractions", "one key alone"],
)
def test_every_row_is_read_once(keys: list[Any], database: sqlite3.Connection, tmp_path: Path) -> None:
    """Over all ranges; the account is balanced, and another run of the same rows has the same digest."""
    fill(database, [(key, row, None if row < 50 else f"n{row}") for row, key in enumerate(keys)])
    spec = pipeline(source("SELECT key, value, note FROM events WHERE note IS NULL OR note <> 'a:b' ;"))
    assert len(sql_query.shards(spec.source)) == {1: 1, 4: 4}.get(len(set(keys)), 10)
    prepared = prepare(spec, tmp_path / "run")
    rows = table_of(prepared).to_pylist()
    assert sorted(row["value"] for row in rows) == list(range(95))
    assert prepared.records.read == prepared.records.written == 95
    assert [row["note"] for row in sorted(rows, key=lambda row: row["value"])][49:51] == [None, "n50"]
    assert {row["id"] for row in rows} == {f"sql:{key}" for key in keys}
    assert prepare(spec, tmp_path / "again").digest == prepared.digest


def test_rows_that_come_after_the_start_wait_for_the_next_run(database: sqlite3.Connection) -> None:
    """What is read ends at the greatest key there was."""
    fill(database, [(number, number, "") for number in range(15)])
    spec = pipeline(source())
    shards = sql_query.shards(spec.source)
    database.execute("INSERT INTO events VALUES (99, 99, '')")
    database.commit()
    read = [row for shard in shards for batch in sql_query.read(spec.source, shard) for row in batch.table["value"].to_pylist()]  # fmt: skip
    assert read == list(range(15))


@pytest.mark.parametrize(
    ("given", "rows", "reason", "words"),
    [
        (source(key="missing"), [(1, 1, "")], "DatabaseFailed", "missing"),
        (source("SELECT * FROM lost_events"), [(1, 1, "")], "DatabaseFailed", "no such table: lost_events"),
        (source(), [(1, 1, ""), (None, 2, "")], "KeyMissing", "missing in 1 of 2 rows"),
        (source("SELECT * FROM events WHERE value > 5"), [(1, 1, "")], "EmptyDataset", "gives no rows"),
        (source(), [(b"x", 1, "")], "WrongColumnType", "holds bytes"),
    ],
    ids=["no such key", "no such table", "rows without a key", "no rows", "a key of bytes"],
)
def test_what_cannot_be_read(
    given: dict[str, Any], rows: list[tuple[Any, ...]], reason: str, words: str, database: sqlite3.Connection
) -> None:
    """Nothing is left out silently."""
    fill(database, rows)
    with pytest.raises(RunFault) as caught:
        sql_query.shards(pipeline(given).source)
    assert caught.value.reason == reason
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "SecretMissing"),
        ("no address", "MalformedAddress"),
        ("postgresql+nodriver://user:hunter2@host/db", "DriverMissing"),
        ("sqlite:////nowhere/data.db", "DatabaseFailed"),
    ],
)
def test_addresses_stand_in_no_message(address: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do passwords; the Secret is named."""
    monkeypatch.setenv(environment.SQL_URL, address)
    with pytest.raises(RunFault) as caught:
        sql_query.shards(pipeline(source()).source)
    assert caught.value.reason == reason
    assert "hunter2" not in caught.value.message
    assert "database" in caught.value.message
