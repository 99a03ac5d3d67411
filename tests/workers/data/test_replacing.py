"""Repaired records take the places of bad ones: once each, whatever the source is, and nobody else's place."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.api import environment
from headrace.api.run_report import Records, Replay
from headrace_workers.data import engine
from headrace_workers.faults import RunFault
from tests.workers.data.builders import files, pipeline, prepare, table_of
from tests.workers.data.quarantined import Line, columns, lines_in, repaired, with_repairs, write

PRICE: dict[str, Any] = {"validate": {"columns": [{"name": "price", "min": 0}]}}
ALL: dict[str, Any] = {"maxFraction": 1}


def replay(
    folder: Path, source: dict[str, Any], lines: list[Line], *steps: dict[str, Any], name: str = "second"
) -> engine.Prepared:
    """A run with these repaired records."""
    path = write(folder / f"{name}.jsonl", lines)
    return prepare(pipeline(source, *steps, quarantine=with_repairs(path)), folder / name)


def bad_lines(folder: Path, source: dict[str, Any], *steps: dict[str, Any]) -> list[Line]:
    """The quarantine of a run without repairs."""
    prepare(pipeline(source, *steps, quarantine=ALL), folder / "first")
    return lines_in(folder / "first")


def raw(folder: Path, name: str, content: str | bytes) -> Path:
    """A folder with one file."""
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "raw"


def test_csv_records_and_lines(tmp_path: Path) -> None:
    """A record is given by its columns, a line that was none by its columns or as a line."""
    source = files(raw(tmp_path, "a.csv", b'text,price\none,-1\n"two\ntwo",2\nbroken\n\xff,3\nfour,4,4\n'), "Csv")
    lines = bad_lines(tmp_path, source, PRICE)
    assert sorted(line["source"] for line in lines) == [
        *(f"file a.csv line {number}" for number in (5, 6, 7)),
        "record a.csv:2",
    ]
    given: dict[str, Any] = {
        "file a.csv line 5": "five,5",
        "file a.csv line 6": {"text": "six", "price": 6},
        "file a.csv line 7": 'seven,"7"',
        "record a.csv:2": {"id": "a.csv:2", "text": "one", "price": "1"},
    }
    made = replay(tmp_path, source, repaired(lines, lambda line: given[line["source"]]), PRICE)
    assert made.records == Records(read=5, written=5, replayed=4)
    assert made.replay == Replay(given=4)
    rows = sorted(table_of(made).select(["id", "text", "price"]).to_pylist(), key=lambda row: row["id"])
    assert [tuple(row.values()) for row in rows] == [
        ("a.csv:2", "one", 1.0), ("a.csv:3", "two\ntwo", 2.0), ("a.csv:5", "five", 5.0), ("a.csv:6", "six", 6.0), ("a.csv:7", "seven", 7.0),
    ]  # fmt: skip
    assert lines_in(tmp_path / "second") == []


def test_json_lines_may_bring_columns(tmp_path: Path) -> None:
    """A repaired object is one of the source: its own id, whole numbers of any size, columns that no other has."""
    source = files(raw(tmp_path, "a.jsonl", '{"id": 7, "price": 1}\n{"price": \n{"id": 9, "price": -1}\n'), "JsonLines")
    lines = bad_lines(tmp_path, source, PRICE)
    given = {"file a.jsonl line 2": {"price": 2, "new": "x"}, "record 9": '{"id": 9, "price": 3}'}
    made = replay(tmp_path, source, repaired(lines, lambda line: given[line["source"]]), PRICE)
    assert table_of(made).select(["id", "price", "new"]).to_pylist() == [
        {"id": "7", "price": 1, "new": None},
        {"id": "a.jsonl:2", "price": 2, "new": "x"},
        {"id": "9", "price": 3, "new": None},
    ]


def test_text_lines(tmp_path: Path) -> None:
    """A line of text is repaired as a line, even one that looks like an object."""
    source = files(raw(tmp_path, "a.txt", b'one\n\xff\n{"two": 2}\n'), "Text")
    lines = bad_lines(tmp_path, source)
    made = replay(tmp_path, source, repaired(lines, lambda _: '{"text": 1}'))
    assert table_of(made)["text"].to_pylist() == ["one", '{"two": 2}', '{"text": 1}']


def test_typed_sources_take_their_types_alone(tmp_path: Path) -> None:
    """A repaired record of Parquet has the file's types; what has not is quarantined again and says so."""
    (tmp_path / "raw").mkdir()
    rows = {
        "name": ["a", "b", "c"],
        "price": pa.array([-1, -2, 3], pa.int32()),
        "day": pa.array([1, 2, 3], pa.date32()),
    }
    pq.write_table(pa.table(rows), tmp_path / "raw" / "a.parquet")
    source = files(tmp_path / "raw", "Parquet")
    lines = bad_lines(tmp_path, source, PRICE)
    given = {
        "record a.parquet:1": {"name": "a", "price": 1, "day": "1970-01-02"},
        "record a.parquet:2": {"price": "many"},
    }
    made = replay(tmp_path, source, repaired(lines, lambda line: given[line["source"]]), PRICE)
    assert made.records == Records(read=3, written=2, quarantined=1, replayed=2)
    table = table_of(made)
    assert table.schema.field("price").type == pa.int32()
    assert table.sort_by("id").slice(0, 1).drop_columns("split").to_pylist() == [
        {"id": "a.parquet:1", "name": "a", "price": 1, "day": rows["day"][0].as_py()}
    ]
    (again,) = lines_in(tmp_path / "second")
    assert (again["source"], again["code"]) == ("record a.parquet:2", "WrongType")


def test_rows_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is found by its key."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sold (number INTEGER, price REAL)")
        database.executemany("INSERT INTO sold VALUES (?, ?)", [(1, 1.5), (2, -1), (3, 3)])
    monkeypatch.setenv(environment.SQL_URL, f"sqlite:///{tmp_path}/shop.db")
    source = {"sql": {"url": {"name": "db", "key": "url"}, "query": "SELECT * FROM sold", "key": "number"}}
    lines = bad_lines(tmp_path, source, PRICE)
    made = replay(tmp_path, source, repaired(lines, lambda line: columns(line) | {"price": 2}), PRICE)
    assert made.records.replayed == len(lines) == 1
    assert table_of(made).sort_by("number")["price"].to_pylist() == [1.5, 2.0, 3.0]


def test_a_record_that_is_still_bad(tmp_path: Path) -> None:
    """It is quarantined anew, with a new reason, and can be repaired again on top of the first repair."""
    source = files(raw(tmp_path, "a.csv", "text,price\nbroken\nok,1\n"), "Csv")
    first = repaired(bad_lines(tmp_path, source, PRICE), lambda _: {"text": "x", "price": -5})
    made = replay(tmp_path, source, first, PRICE)
    assert made.records == Records(read=2, written=1, quarantined=1, replayed=1)
    again = lines_in(tmp_path / "second")
    assert [(line["source"], line["code"]) for line in again] == [("record a.csv:2", "OutOfRange")]
    second = repaired(again, lambda line: columns(line) | {"price": "5"})
    done = replay(tmp_path, source, [*first, *second], PRICE, name="third")
    assert done.records == Records(read=2, written=2, replayed=1)
    assert done.replay == Replay(given=2)


def test_lines_of_a_file_that_has_changed(tmp_path: Path) -> None:
    """A line of another file than was read may be another record: it is left as it is, and told."""
    source = files(raw(tmp_path, "a.csv", "text,price\nbad,-1\nok,1\n"), "Csv")
    lines = repaired(bad_lines(tmp_path, source, PRICE), lambda line: columns(line) | {"price": "7"})
    raw(tmp_path, "a.csv", "text,price\nanother,3\nmore,-4\nok,1\n")
    made = replay(tmp_path, source, lines, PRICE)
    assert made.records == Records(read=3, written=2, quarantined=1)
    assert made.replay is not None
    assert (made.replay.given, made.replay.refused) == (1, 1)
    assert "record a.csv:2 is not in the source, or its file has changed" in made.replay.problem


def test_places_that_are_not_there_are_told(tmp_path: Path) -> None:
    """The others are taken all the same."""
    source = files(raw(tmp_path, "a.csv", "text,price\nbad,-1\nok,1\n"), "Csv")
    (line,) = repaired(bad_lines(tmp_path, source, PRICE), lambda line: columns(line) | {"price": "7"})
    made = replay(tmp_path, source, [line, line | {"source": "record 5"}, line], PRICE)
    assert made.records == Records(read=2, written=2, replayed=1)
    assert made.replay is not None
    assert (made.replay.given, made.replay.refused) == (2, 1)


def test_an_id_that_several_records_have(tmp_path: Path) -> None:
    """Nobody can tell which one is meant: nothing is committed, whether they lie in one file or in two."""
    lines = [{"source": "record 1", "record": {"id": "1", "price": 5}}]
    both = raw(tmp_path, "a.jsonl", '{"id": 1, "price": -1}\n{"id": 1, "price": 2}\n')
    with pytest.raises(RunFault, match="2 records that are called record 1") as caught:
        replay(tmp_path, files(both, "JsonLines"), lines, PRICE)
    assert caught.value.reason == "RepairsAmbiguous"
    raw(tmp_path, "a.jsonl", '{"id": 1, "price": -1}\n')
    raw(tmp_path, "b.jsonl", '{"id": 1, "price": 2}\n')
    with pytest.raises(RunFault, match="2 records that are called record 1"):
        replay(tmp_path, files(both, "JsonLines"), lines, PRICE, name="third")


@pytest.mark.parametrize(
    "cut", [lambda line: line, lambda line: line | {"version": "", "record": json.dumps(line["record"])}]
)
def test_a_repaired_record_decides_with_the_others(tmp_path: Path, cut: Callable[[Line], Line]) -> None:
    """What all records decide together, they decide with it: its type, the split, which is a duplicate, how it is scaled."""
    source = files(raw(tmp_path, "a.jsonl", '{"price": 1}\n{"price": -1}\n{"price": 3}\n'), "JsonLines")
    steps = [PRICE, {"deduplicate": {"exact": {"columns": ["price"]}}}, {"split": {"trainFraction": 0.99}}, {"scale": {"column": "price", "method": "MinMax"}}]  # fmt: skip
    lines = repaired(bad_lines(tmp_path, source, *steps), lambda line: columns(line) | {"price": 11})
    made = replay(tmp_path, source, [cut(line) for line in lines], *steps)
    (tmp_path / "whole").mkdir()
    whole = raw(tmp_path / "whole", "a.jsonl", '{"price": 1}\n{"price": 11}\n{"price": 3}\n')
    expected = table_of(prepare(pipeline(files(whole, "JsonLines"), *steps), tmp_path / "expected"))
    assert table_of(made).sort_by("id") == expected.sort_by("id")
