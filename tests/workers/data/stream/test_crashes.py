"""A head that dies before and after each of its writes: whatever it leaves behind, the next ones find each record once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from headrace.api.run_report import Records
from headrace_workers.data.stream.epochs import Stream
from tests.workers.data.stream.crashes import Died, Writes
from tests.workers.data.stream.fake_reader import FakeReader
from tests.workers.data.stream.streams import Place, spec_of, until

STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}]}},
    {"deduplicate": {"exact": {"columns": ["key"], "withinSeconds": 100}}},
]
KEYS = 300
MESSAGES = {
    f"t/{part}": [{"key": key, "value": -1 if key % 10 == 3 else key} for key in range(part, KEYS, 2) for _ in range(2)]
    for part in (0, 1)
}
BAD = [key for key in range(KEYS) if key % 10 == 3]
IN_ALL = Records(read=2 * KEYS, written=KEYS - len(BAD), duplicates=KEYS - len(BAD), quarantined=2 * len(BAD))


def run_to_the_end(place: Place, seed: int, reader_most: int = 50) -> Stream:
    """A head that reads all that is left."""
    spec = spec_of({"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}, *STEPS, quarantine={"maxFraction": 1})
    stream = place.stream(spec, reader=FakeReader(spec, MESSAGES, seed, reader_most))
    until(stream, lambda: stream.state.records.read >= 2 * KEYS)
    return stream


def check(place: Place, stream: Stream) -> None:
    """Everything is in one place, once."""
    assert stream.state.records == IN_ALL
    assert sorted(place.rows["key"].to_pylist()) == [key for key in range(KEYS) if key % 10 != 3]
    ids = [bad["source"] for bad in place.bad()]
    assert (len(ids), len(set(ids))) == (2 * len(BAD), 2 * len(BAD))
    needed = set(stream.state.files)
    assert {path.name for path in (place.folder / "run-1" / "stream").iterdir()} == needed


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Epochs are committed as soon as something was read."""
    monkeypatch.setattr("headrace_workers.data.stream.epochs.MOST_RECORDS", 1)
    return


@pytest.mark.parametrize("after", [False, True])
def test_death_at_each_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, after: bool) -> None:
    """At each write of the first epochs, before it is done and after: the next head reads other amounts at a time, and loses nothing."""
    writes = Writes(monkeypatch)
    for die_at in range(1, 31):
        place = Place(tmp_path / str(die_at))
        writes.start(die_at, after=after)
        with pytest.raises(Died):
            run_to_the_end(place, seed=die_at)
        writes.stop()
        check(place, run_to_the_end(place, seed=1000 + die_at, reader_most=30))


@pytest.mark.parametrize("seed", range(5))
def test_many_deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, seed: int) -> None:
    """Head after head dies at some write."""
    writes, place, deaths = Writes(monkeypatch), Place(tmp_path), 0
    while True:
        writes.start(3 + (seed * 7 + deaths * 5) % 23, after=deaths % 2 == 0)
        try:
            stream = run_to_the_end(place, seed=seed * 100 + deaths)
        except Died:
            deaths += 1
        else:
            break
    assert deaths >= 2
    check(place, stream)
    assert DeltaTable(str(tmp_path / "table")).version() >= 3
