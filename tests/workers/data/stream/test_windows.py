"""Windows of a Stream: each written once, the same as a Batch of the same records makes them; what is late is set aside."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.api.run_report import Records
from headrace.api.steps import Step
from headrace_workers.data.steps import run_step
from headrace_workers.data.steps.step import Context
from headrace_workers.data.stream.epochs import Stream
from tests.workers.data.stream.crashes import Died, Writes
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

SECONDS, HOSTS, LATENESS = 200, 3, 5
BY_HOST = {
    "seconds": 10,
    "everySeconds": 5,
    "by": ["host"],
    "measures": [
        {"into": "count", "measure": {"count": {}}},
        {"into": "mean", "measure": {"mean": {"column": "value"}}},
        {"into": "high", "measure": {"quantile": {"column": "value", "q": 0.9}}},
    ],
}
STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}]}},
    {"window": BY_HOST},
    {"detect": {"column": "mean", "by": ["host"], "gaussian": {"last": 8, "atLeast": 2}}},
]
EVENT_TIME = {"column": "at", "allowedLatenessSeconds": LATENESS}


def messages(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Two partitions of records, each out of order by less than the lateness."""
    chance = random.Random(seed)
    made: dict[str, list[dict[str, Any]]] = {}
    for part in (0, 1):
        moments = sorted((second + chance.uniform(0, LATENESS - 1), second) for second in range(SECONDS))
        made[f"t/{part}"] = [
            {"at": 1_000_000 + second, "host": f"h{second % HOSTS}", "value": chance.random()} for _, second in moments
        ]
    return made


def stream_of(place: Place, said: dict[str, list[dict[str, Any]]], seed: int, **more: Any) -> Stream:
    """A head of the pipeline."""
    source = {"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}
    spec = spec_of(source, *STEPS, **{"eventTime": EVENT_TIME, **more})
    return place.stream(spec, reader=FakeReader(spec, said, seed, most=20))


def read_all(stream: Stream, said: dict[str, list[dict[str, Any]]]) -> Stream:
    """Reads all messages."""
    until(stream, lambda: stream.state.records.read >= sum(map(len, said.values())))
    return stream


def batch(said: dict[str, list[dict[str, Any]]]) -> pa.Table:
    """What a Batch makes of the same records."""
    table = pa.Table.from_pylist([record for some in said.values() for record in some])
    for step in STEPS[1:]:
        context = Context(event_time="at")
        table = run_step(table, Step.model_validate(step), context).table
    return table


def check(place: Place, stream: Stream, said: dict[str, list[dict[str, Any]]]) -> None:
    """The windows that have ended are those of a Batch, bit for bit, and each record is in one of them or waits."""
    columns = ["id", "window_start", "window_end", "host", "count", "mean", "high", "anomaly"]
    reached = stream.state.watermark
    assert reached is not None
    expected = batch(said)
    ended = expected.filter(pa.array([end.timestamp() * 1e6 <= reached for end in expected["window_end"].to_pylist()]))
    assert 0 < ended.num_rows < expected.num_rows
    rows = place.rows
    assert rows.select(columns).sort_by("id").to_pylist() == ended.select(columns).sort_by("id").to_pylist()
    records = stream.state.records
    read = sum(map(len, said.values()))
    assert records == Records(read=read, written=read - records.held, held=records.held)
    assert records.held > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_comes_to_the_same_as_a_batch(tmp_path: Path, seed: int) -> None:
    """However records are cut into epochs; scores too."""
    place, said = Place(tmp_path), messages(seed)
    check(place, read_all(stream_of(place, said, seed), said), said)


@pytest.mark.parametrize("seed", range(3))
def test_deaths_change_no_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Heads die at writes, one after the other: what waits in windows and what scores depend on is restored."""
    monkeypatch.setattr("headrace_workers.data.stream.epochs.MOST_RECORDS", 1)
    place, said, writes, deaths = Place(tmp_path), messages(seed), Writes(monkeypatch), 0
    while True:
        writes.start(die_at=7 + (seed * 11 + deaths * 5) % 29, after=deaths % 2 == 0)
        try:
            stream = read_all(stream_of(place, said, 100 * seed + deaths), said)
        except Died:
            deaths += 1
        else:
            break
    assert deaths >= 2
    check(place, stream, said)


def test_what_comes_too_late_is_set_aside(tmp_path: Path) -> None:
    """A record whose windows are all written is late, and in the quarantine's folder late with all that it holds."""
    place, said = Place(tmp_path), messages(0)
    read_all(stream_of(place, said, 0), said)
    said["t/0"].append({"at": 1_000_001, "host": "h1", "value": 0.5})
    stream = read_all(stream_of(place, said, 0), said)
    assert (stream.state.records.late, stream.state.records.read) == (1, 2 * SECONDS + 1)
    (late,) = place.bad(folder="late")
    assert (late["code"], late["stage"]) == ("Late", "steps[1].window")
    assert '"at": 1000001' in late["record"]


def test_an_idle_partition_holds_nothing_back(tmp_path: Path) -> None:
    """Where one partition has nothing new for long, windows close by the other's time, without a new record."""
    place, said = Place(tmp_path), messages(0)
    said["t/1"] = said["t/1"][:20]
    stream = stream_of(place, said, 0, eventTime={**EVENT_TIME, "idleSeconds": 1})
    until(stream, lambda: (stream.state.watermark or 0) >= (1_000_000 + SECONDS - 1 - LATENESS) * 1_000_000)
    assert max(place.rows["window_end"].to_pylist()).timestamp() > 1_000_100


def test_alerts_are_told_with_their_windows(tmp_path: Path) -> None:
    """Each once, counted over restarts; a window without a value raises none."""
    place, said = Place(tmp_path), messages(0)
    alerts = [{"name": "high", "column": "high", "above": 0.9}, {"name": "none", "column": "nowhere", "above": 0}]
    heard: list[str] = []
    for part in (1, 2):
        some = {name: records[: len(records) * part // 2] for name, records in said.items()}
        stream = stream_of(place, some, part, alerts=alerts)
        stream._on_alerts = lambda raised: heard.extend(one.told.id for one in raised)
        read_all(stream, some)
    beyond = [value for value in place.rows["high"].to_pylist() if value > 0.9]
    assert len(beyond) == len(heard) == len(set(heard)) == stream.state.alerts.count > 0
    assert stream.state.alerts.last[0].id == heard[-1]
