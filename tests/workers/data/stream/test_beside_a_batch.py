"""The whole recipe of a Stream beside the engine of a Batch: poison, equal records, windows and scores, deaths and edits."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from headrace.api.data_pipeline import DataPipelineSpec
from headrace_workers.data import engine
from headrace_workers.data.spread import in_process
from headrace_workers.data.stream.epochs import Stream
from headrace_workers.storage import Folder
from tests.workers.data.builders import files, pipeline, table_of
from tests.workers.data.stream.crashes import Died, Writes
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

KAFKA = {"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}
LATENESS = 20
WINDOW = {"window": {"seconds": 15, "everySeconds": 5, "by": ["k"], "measures": [
    {"into": "n", "measure": {"count": {}}}, {"into": "mean", "measure": {"mean": {"column": "v"}}},
    {"into": "p90", "measure": {"quantile": {"column": "v", "q": 0.9}}}]}}  # fmt: skip
STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "v", "min": 0, "required": False}]}},
    {"deduplicate": {"exact": {"columns": ["key"]}}},
    WINDOW,
    {"detect": {"column": "mean", "by": ["k"], "gaussian": {"last": 6, "atLeast": 3}}},
]
TIMED = {"eventTime": {"column": "at", "allowedLatenessSeconds": LATENESS}, "quarantine": {"maxFraction": 1.0}}
SECONDS = 300
LAST = 10_000
"""When something happens that closes all windows before it."""


def events(seed: int, partitions: int = 2) -> dict[str, list[dict[str, Any]]]:
    """Events of two partitions, each out of order by less than the lateness, some of them bad, some twice; a last one in each."""
    chance = random.Random(seed)
    made: dict[str, list[dict[str, Any]]] = {}
    for part in range(partitions):
        own = []
        for second in range(SECONDS):
            value: Any = -1 if second % 37 == 5 else None if second % 41 == 7 else second % 11 + chance.random()
            event = {"at": float(second), "key": f"{part}-{second}", "k": "ab"[second % 3 == 0], "v": value}
            own += [event] * (2 if second % 29 == 3 else 1)
        own.sort(key=lambda event: event["at"] + chance.random() * (LATENESS - 1) / 2)
        made[f"t/{part}"] = [*own, {"at": float(LAST), "key": f"{part}-last", "k": "last", "v": 0}]
    return made


def batch(messages: dict[str, list[dict[str, Any]]], folder: Path) -> list[dict[str, Any]]:
    """The rows of a Batch of the same events, but for the windows that no later event closes."""
    (folder / "events").mkdir(parents=True)
    for name, some in messages.items():
        lines = "".join(json.dumps(each) + "\n" for each in some)
        (folder / "events" / f"{name.replace('/', '-')}.jsonl").write_text(lines)
    plan = engine.planned(pipeline(files(folder / "events", "JsonLines"), *STEPS, **TIMED))
    rows = table_of(engine.prepare(plan, Folder(f"file:{folder}/run"), in_process, lambda *_: None)).to_pylist()
    return [row for row in rows if row["k"] != "last"]


def late_files(place: Place) -> list[Path]:
    """The files of what came too late."""
    return sorted((place.folder / "run-1/quarantine/late").glob("*.jsonl"))


def run(place: Place, spec: DataPipelineSpec, messages: dict[str, list[dict[str, Any]]], seed: int) -> Stream:
    """A head that reads all that is left."""
    stream = place.stream(spec, reader=FakeReader(spec, messages, seed, most=40))
    until(stream, lambda: stream.state.records.read >= sum(map(len, messages.values())))
    return stream


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_has_the_rows_of_a_batch(seed: int, tmp_path: Path) -> None:
    """In the same order, with the same bits; what is in the windows that are still open is held."""
    messages, place = events(seed), Place(tmp_path)
    stream = run(place, spec_of(KAFKA, *STEPS, **TIMED), messages, seed)
    expected = batch(messages, tmp_path / "batch")
    rows = sorted(place.rows.to_pylist(), key=lambda row: (row["window_end"], row["k"]))
    assert rows == expected
    records = stream.state.records
    assert (records.late, records.held) == (0, 2)
    assert records.read == records.written + records.duplicates + records.quarantined + records.held
    assert (records.duplicates, records.quarantined) == (20, 18)


def test_what_comes_too_late_is_counted_and_kept(tmp_path: Path) -> None:
    """With a record in a file of its own, and why; the windows that were written stay as they are."""
    messages, place = events(1), Place(tmp_path)
    late = {"at": 3.0, "key": "late", "k": "a", "v": 1.0}
    run(place, spec_of(KAFKA, *STEPS, **TIMED), messages, 1)
    messages["t/1"].append(late)
    stream = run(place, spec_of(KAFKA, *STEPS, **TIMED), messages, 1)
    assert stream.state.records.late == 1
    (kept,) = [json.loads(line) for path in late_files(place) for line in path.read_text().splitlines()]
    assert json.loads(kept["record"]) | {"id": ""} == late | {"id": ""}
    assert kept["source"] == f"record t/1/{len(messages['t/1']) - 1}"
    assert kept["code"] == "Late"
    del messages["t/1"][-1]
    assert len(place.rows) == len(batch(messages, tmp_path / "batch"))


@pytest.mark.parametrize("seed", range(8))
def test_heads_that_die_lose_and_double_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at another of its writes; the rows are those of a Batch all the same, and nothing is left in the storage."""
    messages, place, chance = events(seed), Place(tmp_path), random.Random(seed)
    spec = spec_of(KAFKA, *STEPS, **TIMED)
    writes = Writes(monkeypatch)
    for number in range(5):
        writes.start(chance.randint(1, 60), after=bool(number % 2))
        try:
            run(place, spec, messages, seed * 100 + number)
        except Died:
            continue
        break
    writes.stop()
    stream = run(place, spec, messages, seed)
    rows = sorted(place.rows.to_pylist(), key=lambda row: (row["window_end"], row["k"]))
    assert rows == batch(messages, tmp_path / "batch")
    assert stream.state.records.held == 2
    assert {path.name for path in (tmp_path / "run-1/stream").iterdir()} == stream.state.files


def test_another_run_reads_again_what_was_held(tmp_path: Path) -> None:
    """Steps were edited while windows were open: nothing of these is lost."""
    messages, place = events(2), Place(tmp_path)
    whole = messages["t/0"], messages["t/1"]
    first = {"t/0": whole[0][:150], "t/1": whole[1][:150]}
    before = run(place, spec_of(KAFKA, *STEPS, **TIMED), first, 2)
    assert before.state.records.held > 0
    edited = [*STEPS[:3], {"detect": {"column": "n", "by": ["k"]}}]
    spec = spec_of(KAFKA, *edited, **TIMED)
    stream = place.stream(spec, run=2, reader=FakeReader(spec, messages, 2, most=40))
    assert sum(stream.state.offsets.values()) < sum(before.state.offsets.values())
    until(stream, lambda: all(stream.state.offsets[name] == len(some) for name, some in messages.items()))
    rows = sorted(place.rows.to_pylist(), key=lambda row: (row["window_end"], row["k"]))
    names = ("id", "n", "mean", "p90")
    expected = batch(messages, tmp_path / "batch")
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in expected]


def test_steps_after_a_window_drop_windows(tmp_path: Path) -> None:
    """Sliding ones, whose records wait in others still; the account is of records, and windows are counted apart."""
    messages, place = events(4), Place(tmp_path)
    few = {"validate": {"columns": [{"name": "n", "max": 15}]}}
    stream = run(place, spec_of(KAFKA, *STEPS[:3], few, **TIMED), messages, 4)
    records = stream.state.records
    kept = place.rows.num_rows
    whole = Place(tmp_path / "all")
    everything = run(whole, spec_of(KAFKA, *STEPS[:3], **TIMED), messages, 4).state.records
    assert records.dropped_windows == whole.rows.num_rows - kept > 0
    assert records.model_copy(update={"dropped_windows": 0}) == everything
