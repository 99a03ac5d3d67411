"""What goes in comes out or is accounted for, with poison of five kinds in it; and once it is repaired, all of it comes out, once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from headrace.api.run_report import Records, Replay
from headrace_workers.data import engine, sink
from headrace_workers.data.spread import in_process
from headrace_workers.storage import Folder
from tests.workers.data.builders import files, identity, pipeline
from tests.workers.data.quarantined import Line, lines_in, repaired, with_repairs, write
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

RECORDS = 20_000
POISON: tuple[bytes, ...] = (
    b'{"key": %d, "value": ',
    b'{"key": %d, "value": "many", "kind": "a"}',
    b'{"key": %d, "value": -5, "kind": "a"}',
    b'{"key": %d, "value": 5}',
    b'{"key": %d, "value": 5, "kind": "\xff"}',
)
"""No JSON, a text for a number, beyond the range, a value missing, no UTF-8."""
STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}, {"name": "kind"}]}},
    {"filter": {"column": "kind", "maxWords": 1}},
    {"deduplicate": {"exact": {"columns": ["key"]}}},
]


def message(number: int) -> bytes:
    """One in a hundred is poisoned, one in fifty filtered, one in forty like the one before."""
    key = number - 1 if number % 40 == 1 else number
    if number % 100 == 7:
        return POISON[number // 100 % 5] % number
    return json.dumps({"key": key, "value": number, "kind": "two words" if number % 50 == 3 else "a"}).encode()


NUMBERS = range(RECORDS)
POISONED = [number for number in NUMBERS if number % 100 == 7]
FILTERED = [number for number in NUMBERS if number % 50 == 3]
EQUAL = [number for number in NUMBERS if number % 40 == 1]
KEPT = sorted({*NUMBERS} - {*POISONED} - {*FILTERED} - {*EQUAL})
BEFORE = Records(
    read=RECORDS, written=len(KEPT), filtered=len(FILTERED), duplicates=len(EQUAL), quarantined=len(POISONED)
)
AFTER = BEFORE.model_copy(update={"written": len(KEPT) + len(POISONED), "quarantined": 0, "replayed": len(POISONED)})


def good(number: int) -> dict[str, Any]:
    """What a poisoned record should have been."""
    return {"key": number, "value": number, "kind": "a"}


def keys_in(table: Path) -> list[int]:
    """The keys in the newest version, sorted."""
    return sorted(DeltaTable(str(table)).to_pyarrow_table()["key"].to_pylist())


def batch(folder: Path, run: int, repairs: Path | None = None) -> Records:
    """A run over the files, committed."""
    given: dict[str, Any] = with_repairs(repairs) if repairs else {"maxFraction": 1}
    plan = engine.planned(pipeline(files(folder / "raw", "JsonLines"), *STEPS, quarantine=given))
    prepared = engine.prepare(plan, Folder(f"file:{folder}/run-{run}"), in_process, lambda *_: None)
    return sink.commit(f"file:{folder}/table", identity(run), plan.key, prepared).records


def test_a_batch_over_files(tmp_path: Path) -> None:
    """In = written + filtered + duplicates + quarantined; repaired, every record is written once, and again the same."""
    (tmp_path / "raw").mkdir()
    for part in range(4):
        some = NUMBERS[part * RECORDS // 4 : (part + 1) * RECORDS // 4]
        (tmp_path / "raw" / f"{part}.jsonl").write_bytes(b"".join(message(number) + b"\n" for number in some))
    assert batch(tmp_path, 1) == BEFORE
    assert keys_in(tmp_path / "table") == KEPT
    lines = lines_in(tmp_path / "run-1")
    assert {line["code"] for line in lines} == {"BrokenJson", "NotANumber", "OutOfRange", "MissingValue", "BadEncoding"}

    def repair(line: Line) -> dict[str, Any]:
        name, _, number = (
            line["source"].removeprefix("file ").removeprefix("record ").replace(" line ", ":").partition(":")
        )
        return good(int(name.removesuffix(".jsonl")) * RECORDS // 4 + int(number) - 1)

    path = write(tmp_path / "repaired.jsonl", repaired([*lines, *lines], repair))
    for run in (2, 3):
        assert batch(tmp_path, run, path) == AFTER
        assert keys_in(tmp_path / "table") == sorted([*KEPT, *POISONED])
        assert lines_in(tmp_path / f"run-{run}") == []


def test_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of messages of two partitions, read in epochs of any size; repaired while it runs."""
    monkeypatch.setattr("headrace_workers.data.stream.repaired_records.LOOK_SECONDS", 0.05)
    halves = NUMBERS[: RECORDS // 2], NUMBERS[RECORDS // 2 :]
    messages: dict[str, Sequence[bytes]] = {
        f"t/{part}": [message(number) for number in half] for part, half in enumerate(halves)
    }
    steps = [*STEPS[:2], {"deduplicate": {"exact": {"columns": ["key"], "withinSeconds": 2_000_000}}}]
    spec = spec_of({"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}, *steps, quarantine={"maxFraction": 1})
    place = Place(tmp_path)

    def run(taken: int) -> tuple[Records, Replay | None]:
        stream = place.stream(spec, reader=FakeReader(spec, messages, most=2000))
        until(stream, lambda: stream.state.records.read >= RECORDS and stream.state.records.replayed >= taken)
        return stream.state.records, stream.replay

    assert run(0)[0] == BEFORE
    assert keys_in(tmp_path / "table") == KEPT
    lines = place.bad()

    def repair(line: Line) -> dict[str, Any]:
        _, part, offset = line.get("at", line["source"]).split("/")
        return good(halves[int(part)][int(offset)])

    for name in ("a", "b"):
        write(tmp_path / "run-1" / "repaired" / f"{name}.jsonl", repaired(lines, repair))
        assert run(len(POISONED)) == (AFTER, Replay(given=len(POISONED)))
        assert keys_in(tmp_path / "table") == sorted([*KEPT, *POISONED])
