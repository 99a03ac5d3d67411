"""Repaired records of a Stream: in the table once each, with the fact that they were taken, whoever dies when."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.run_report import Records, Replay
from headrace_workers.data.stream.epochs import Stream
from tests.workers.data.quarantined import Line, columns, repaired, write
from tests.workers.data.stream.crashes import Died, Writes
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

SOURCE: dict[str, Any] = {"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}
STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}]}},
    {"deduplicate": {"exact": {"columns": ["key"], "withinSeconds": 2_000_000}}},
]
SPEC = spec_of(SOURCE, *STEPS, quarantine={"maxFraction": 1})
KEYS = 40
MESSAGES: dict[str, list[Any]] = {
    f"t/{part}": [b"{" if key % 10 == 7 else {"key": key, "value": -1 if key % 10 == 3 else key} for key in range(part, KEYS, 2)]
    for part in (0, 1)
}  # fmt: skip
BAD = [key for key in range(KEYS) if key % 10 in (3, 7)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for repaired records all the time."""
    monkeypatch.setattr("headrace_workers.data.stream.repaired_records.LOOK_SECONDS", 0.05)


def key_of(line: Line) -> int:
    """The key of the message that a line is of: the fake broker's partitions share them."""
    partition, offset = line.get("at", line["source"]).split("/")[1:]
    return int(partition) + 2 * int(offset)


def repair(line: Line) -> dict[str, Any]:
    """The record as it should have been."""
    return {"key": key_of(line), "value": key_of(line)}


def run(
    place: Place, read: int = KEYS, taken: int = 0, spec: DataPipelineSpec = SPEC, messages: dict[str, list[Any]] = MESSAGES, seed: int = 0, refused: int = 0
) -> Stream:  # fmt: skip
    """A head that goes on until so many messages were read and so many repaired records were taken, or refused."""
    stream = place.stream(spec, reader=FakeReader(spec, messages, seed))

    def done() -> bool:
        records, replay = stream.state.records, stream.replay
        return records.read >= read and records.replayed >= taken and (replay.refused if replay else 0) >= refused

    until(stream, done)
    return stream


def give(place: Place, lines: Iterable[Line], name: str = "a") -> None:
    """Puts lines where the stream looks for them."""
    write(place.folder / "run-1" / "repaired" / f"{name}.jsonl", lines)


def keys_in(place: Place) -> list[int]:
    """The keys in the table, sorted."""
    return sorted(place.rows["key"].to_pylist())


def test_repaired_records_land_once(tmp_path: Path) -> None:
    """What was quarantined is written then; the account says so, and the same lines again change nothing."""
    place = Place(tmp_path)
    before = run(place).state.records
    assert before == Records(read=KEYS, written=KEYS - len(BAD), quarantined=len(BAD))
    lines = repaired(place.bad(), repair)
    give(place, [*lines, *lines])
    stream = run(place, taken=len(BAD))
    assert stream.state.records == Records(read=KEYS, written=KEYS, replayed=len(BAD))
    assert stream.replay == Replay(given=len(BAD))
    assert keys_in(place) == list(range(KEYS))
    version = place.delta.version()
    give(place, reversed(lines), "again")
    (place.folder / "run-1" / "repaired" / "a.jsonl").unlink()
    give(place, [{"source": "record t/9/1", "record": {}}], "unknown")
    stream = run(place, taken=len(BAD), refused=1)
    assert stream.replay == Replay(
        given=len(BAD) + 1, refused=1, problem="record t/9/1 is not in the quarantine of this run"
    )
    assert place.delta.version() == version
    give(place, [lines[0] | {"record": {"key": 100, "value": 1}}], "other")
    assert "was replayed already" in str(run(place, taken=len(BAD), refused=2).replay)
    assert keys_in(place) == list(range(KEYS))


def test_its_ids_may_say_which_message_it_was(tmp_path: Path) -> None:
    """A line without the message is known by the record's id; where several have it, nobody guesses."""
    messages: dict[str, list[Any]] = {"t/0": [{"id": name, "key": key, "value": -1} for key, name in enumerate("aabc")]}
    place = Place(tmp_path)
    run(place, read=4, messages=messages)
    assert [(line["source"], line["at"]) for line in place.bad()] == [
        ("record a", "t/0/0"), ("record a", "t/0/1"), ("record b", "t/0/2"), ("record c", "t/0/3"),
    ]  # fmt: skip
    good = repaired(place.bad(), lambda line: columns(line) | {"value": 1})
    give(place, [{name: line[name] for name in ("source", "record")} for line in good[:3]])
    stream = run(place, read=4, taken=1, refused=2, messages=messages)
    assert stream.replay is not None
    assert stream.replay.problem == "record a is in the quarantine 2 times; write the field at, too, as it stands there"
    give(place, good)
    stream = run(place, read=4, taken=4, messages=messages)
    assert stream.state.records == Records(read=4, written=4, replayed=4)
    assert sorted(place.rows["id"].to_pylist()) == list("aabc")


def test_what_is_still_bad_may_be_repaired_again(tmp_path: Path) -> None:
    """It is quarantined with a new reason, as the same message; that fails no stream, however many there are."""
    place = Place(tmp_path)
    run(place)
    strict = spec_of(SOURCE, *STEPS, quarantine={"maxFraction": 0.0001})
    give(place, repaired(place.bad(), lambda line: {"key": key_of(line), "value": -7}))
    stream = run(place, taken=len(BAD), spec=strict)
    assert stream.state.records == Records(read=KEYS, written=KEYS - len(BAD), quarantined=len(BAD), replayed=len(BAD))
    assert len(place.bad()) == 2 * len(BAD)
    give(place, repaired(place.bad()[-len(BAD) :], repair), "b")
    stream = run(place, taken=2 * len(BAD), spec=strict)
    assert stream.state.records == Records(read=KEYS, written=KEYS, replayed=2 * len(BAD))
    assert stream.replay == Replay(given=2 * len(BAD))
    assert keys_in(place) == list(range(KEYS))


def test_lines_that_are_none_are_told(tmp_path: Path) -> None:
    """The others are taken all the same."""
    place = Place(tmp_path)
    run(place)
    lines = repaired(place.bad(), repair)
    give(place, [lines[0], lines[1] | {"record": "[withheld]"}, lines[2] | {"record": {"key": "[withheld]"}}])
    (place.folder / "run-1" / "repaired" / "b.jsonl").write_text("{\n")
    stream = run(place, taken=1, refused=3)
    assert stream.replay is not None
    assert (stream.replay.given, stream.replay.refused) == (4, 3)
    assert stream.replay.problem.startswith(f"a.jsonl line 2: {lines[1]['source']} is [withheld] as the pipeline hides")
    assert stream.state.records.replayed == 1


@pytest.mark.usefixtures("given_keys")
def test_what_is_hidden_never_lands(tmp_path: Path) -> None:
    """A repaired record gives hidden values anew, its id too, and is hidden as any other; until then it is refused."""
    key = {"secret": "privacy", "id": "one"}
    hashes = {"hash": {"columns": ["id", "name"], "key": key}}
    messages: dict[str, list[Any]] = {"t/0": [{"id": f"i{n}", "name": f"n{n}", "value": n - 1} for n in range(4)]}
    spec = spec_of(SOURCE, hashes, STEPS[0], quarantine={"maxFraction": 1})
    place = Place(tmp_path)
    run(place, read=4, spec=spec, messages=messages)
    (line,) = place.bad()
    assert (sorted(line["hidden"]), line["at"]) == (["id", "name", "value"], "t/0/0")
    give(place, [line | {"record": columns(line) | {"value": 5, "id": "i0"}}])
    stream = run(place, read=4, refused=1, spec=spec, messages=messages)
    assert stream.replay is not None
    assert "does not have the value of name but what hides it" in stream.replay.problem
    give(place, [line | {"record": {"value": 5, "id": "i0", "name": "n1"}}])
    assert run(place, read=4, taken=1, spec=spec, messages=messages).state.records == Records(
        read=4, written=4, replayed=1
    )
    rows = {row["value"]: row for row in place.rows.to_pylist()}
    assert rows[5]["name"] == rows[0]["name"] != "n1"


def test_equal_ones_and_new_columns(tmp_path: Path) -> None:
    """A repaired record may equal one that came meanwhile, and bring a column."""
    place = Place(tmp_path)
    run(place)
    given = [{"key": 0, "value": 1}, {"key": 103, "value": 1, "new": "x"}, "{", {"key": 5, "value": "text"}]
    give(place, [line | {"record": record} for line, record in zip(place.bad(), given, strict=False)])
    records = run(place, taken=4).state.records
    assert records == Records(
        read=KEYS, written=KEYS - len(BAD) + 1, duplicates=1, quarantined=len(BAD) - 2, replayed=4
    )
    assert [row["key"] for row in place.rows.to_pylist() if row["new"] == "x"] == [103]


def test_windows_that_were_written_stay(tmp_path: Path) -> None:
    """A repaired record of an open window is in it; one whose window was written is late, and closes none."""
    messages: dict[str, list[Any]] = {
        "t/0": [{"at": at, "value": -1 if at in (5, 95, 96) else 1} for at in range(100)] + [{"at": 109, "value": 1}]
    }
    window = {"window": {"seconds": 10, "measures": [{"into": "n", "measure": {"count": {}}}]}}
    more: dict[str, Any] = {
        "quarantine": {"maxFraction": 1},
        "eventTime": {"column": "at", "allowedLatenessSeconds": 10, "idleSeconds": 1000},
    }
    spec = spec_of(SOURCE, STEPS[0], window, **more)
    place = Place(tmp_path)
    run(place, read=101, spec=spec, messages=messages)
    give(place, repaired(place.bad(), lambda line: columns(line) | {"value": 1}))
    stream = run(place, read=101, taken=3, spec=spec, messages=messages)
    records = stream.state.records
    assert (records.read, records.quarantined, records.late, records.replayed) == (101, 0, 1, 3)
    assert [columns(line)["at"] for line in place.bad(folder="late")] == [5]
    assert stream.state.safe_offsets["t/0"] <= 95
    messages["t/0"].append({"at": 200, "value": 1})
    run(place, read=102, taken=3, spec=spec, messages=messages)
    messages["t/0"].append({"at": 201, "value": 1})
    run(place, read=103, taken=3, spec=spec, messages=messages)
    counted = {row["window_start"].timestamp(): row["n"] for row in place.rows.to_pylist()}
    assert (counted[0.0], counted[90.0]) == (9, 10)


def test_a_new_run_finds_what_waited(tmp_path: Path) -> None:
    """What waits in a window when a new run begins is read again there, found bad again, and repaired again: once in the table."""
    messages: dict[str, list[Any]] = {"t/0": [{"at": at, "value": -1 if at == 2 else 1} for at in range(30)]}
    window = {"window": {"seconds": 1000, "measures": [{"into": "n", "measure": {"count": {}}}]}}
    more: dict[str, Any] = {"eventTime": {"column": "at", "allowedLatenessSeconds": 0, "idleSeconds": 1000}}
    path = tmp_path / "declared.jsonl"
    spec = spec_of(SOURCE, STEPS[0], window, **more, quarantine={"maxFraction": 1, "repaired": {"uri": f"file:{path}"}})
    place = Place(tmp_path)
    run(place, read=30, spec=spec, messages=messages)
    write(path, repaired(place.bad(), lambda line: columns(line) | {"value": 1}))
    assert run(place, read=30, taken=1, spec=spec, messages=messages).state.records == Records(
        read=30, held=30, replayed=1
    )
    messages["t/0"].append({"at": 5000, "value": 1})
    stream = place.stream(spec, run=2, reader=FakeReader(spec, messages))
    until(stream, lambda: stream.state.records.replayed == 1 and stream.state.records.read == 31)
    messages["t/0"].append({"at": 9000, "value": 1})
    stream = place.stream(spec, run=2, reader=FakeReader(spec, messages))
    until(stream, lambda: stream.state.records.read == 32 and stream.state.commits >= 1)
    counted = {row["window_start"].timestamp(): row["n"] for row in place.rows.to_pylist()}
    # Whether its window closes before it is looked for repaired records is a matter of time.
    assert counted[0.0] + stream.state.records.late == 30
    assert stream.state.records.replayed == 1


@pytest.mark.parametrize("after", [False, True])
def test_death_at_each_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """Of the epoch that takes them, before it is done and after: the next head takes what is left, and nothing twice."""
    whole = Place(tmp_path / "whole")
    run(whole)
    lines = repaired(whole.bad(), repair)
    writes, deaths = Writes(monkeypatch), 0
    for die_at in range(1, 12):
        place = Place(tmp_path / str(die_at))
        run(place)
        give(place, lines)
        writes.start(die_at, after=after)
        try:
            run(place, taken=len(BAD))
        except Died:
            deaths += 1
        writes.stop()
        stream = run(place, taken=len(BAD), seed=die_at)
        assert stream.state.records == Records(read=KEYS, written=KEYS, replayed=len(BAD))
        assert keys_in(place) == list(range(KEYS))
        assert {path.name for path in (place.folder / "run-1" / "stream").iterdir()} == set(stream.state.files)
    assert deaths >= 5
