"""Streams as the operator starts them, on a real broker: heads and readers killed at any time, nothing lost and nothing twice."""

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from deltalake import DeltaTable

from headrace.api.run_report import Records, ReportPhase
from tests.workers.data.runs import DEADLINE_SECONDS, HEAD, WORKER, Run
from tests.workers.data.stream.broker import Broker, Topic
from tests.workers.data.stream.streams import spec_of

pytestmark = [pytest.mark.kafka, pytest.mark.ray]

STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}]}},
    {"deduplicate": {"exact": {"columns": ["key"]}}},
    {"redact": {"column": "text", "entities": ["Email"]}},
]


def message(key: int) -> Any:
    """Every tenth is bad."""
    return {"key": key, "text": f"from user{key}@example.com", "value": -1 if key % 10 == 3 else key}


@contextmanager
def told(topic: Topic, keys: int, seconds: float) -> Iterator[Callable[[], int]]:
    """Says so many keys, spread over that time and two partitions, every fifth of them a second time."""
    said = 0

    def say() -> None:
        nonlocal said
        for first in range(0, keys, 50):
            some = list(range(first, min(first + 50, keys)))
            topic.say([message(key) for key in some], first // 50 % 2)
            topic.say([message(key) for key in some if key % 5 == 0], (first // 50 + 1) % 2)
            said += len(some) + len([key for key in some if key % 5 == 0])
            time.sleep(seconds * 50 / keys)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield lambda: said
    finally:
        thread.join()


def expected(keys: int) -> Records:
    """Where they must be: what is bad is so each time, as validate comes first."""
    again = len(range(0, keys, 5))
    bad = [key for key in range(keys) if key % 10 == 3]
    return Records(read=keys + again, written=keys - len(bad), duplicates=again, quarantined=len(bad))


def found(folder: Path) -> tuple[list[int], list[int]]:
    """The keys in the table and in the quarantine."""
    rows = DeltaTable(str(folder / "table")).to_pyarrow_table()
    lines = [line for file in (folder / "run" / "quarantine").glob("*.jsonl") for line in file.read_text().splitlines()]
    return sorted(rows["key"].to_pylist()), sorted(json.loads(json.loads(line)["record"])["key"] for line in lines)


def readers_of(worker_pid: int) -> list[psutil.Process]:
    """The processes of a worker that read."""
    try:
        children = psutil.Process(worker_pid).children(recursive=True)
        return [child for child in children if "ReaderActor" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 9))])
def test_killed_at_any_time(broker: Broker, tmp_path: Path, seed: int) -> None:
    """SIGKILL of heads and of readers while messages come: each record is in one place, once."""
    keys, chance = 3000, random.Random(seed)
    topic = broker.topic(2)
    run = Run(tmp_path, spec_of(topic.source, *STEPS, quarantine={"maxFraction": 1.0}))
    with told(topic, keys, seconds=20):
        for victim in ("head", "reader", "head"):
            with run.process(HEAD) as head, run.process(WORKER) as worker:
                run.until_reported(lambda report: report.records is not None and report.records.read > 0)
                time.sleep(chance.uniform(0.1, 2.5))
                if victim == "reader":
                    for reader in readers_of(worker.pid):
                        reader.send_signal(signal.SIGKILL)
                    time.sleep(chance.uniform(0.1, 2.0))
                head.send_signal(signal.SIGKILL)
                head.wait(DEADLINE_SECONDS)
    with run.process(HEAD) as head, run.process(WORKER):
        run.until_reported(lambda report: report.records is not None and report.records.read >= keys + keys // 5)
        head.send_signal(signal.SIGTERM)
        assert head.wait(DEADLINE_SECONDS) == 3
    bad = [key for key in range(keys) if key % 10 == 3]
    good = [key for key in range(keys) if key % 10 != 3]
    assert found(tmp_path) == (good, bad)
    assert json.loads((tmp_path / "termination.json").read_text())["records"] == expected(keys).model_dump(
        by_alias=True, exclude_defaults=True
    )


def test_readers_come_and_go(broker: Broker, tmp_path: Path) -> None:
    """Two workers share two partitions; one is killed and another comes, and a stop commits what was read."""
    keys = 4000
    topic = broker.topic(2)
    run = Run(tmp_path, spec_of(topic.source, *STEPS, quarantine={"maxFraction": 1.0}))
    with told(topic, keys, seconds=15), run.process(HEAD) as head, ExitStack() as workers:
        first = workers.enter_context(run.process(WORKER, "worker-0"))
        run.until_reported(lambda report: report.records is not None and report.records.read > 0)
        second = workers.enter_context(run.process(WORKER, "worker-1"))
        report = run.until_reported(lambda report: _channels(report) == 2)
        assert report.workers == 2
        first.send_signal(signal.SIGKILL)
        run.until_reported(lambda report: _channels(report) == 1)
        workers.enter_context(run.process(WORKER, "worker-2"))
        report = run.until_reported(
            lambda report: report.records is not None and report.records.read >= keys + keys // 5
        )
        assert second.poll() is None
        assert report.phase == ReportPhase.RUNNING
        assert report.dataset is not None
        assert report.stream is not None
        assert (report.dataset.records, report.stream.lag) == (expected(keys).written, 0)
        head.send_signal(signal.SIGTERM)
        assert head.wait(DEADLINE_SECONDS) == 3
    assert found(tmp_path)[0] == [key for key in range(keys) if key % 10 != 3]
    assert json.loads((tmp_path / "termination.json").read_text())["phase"] == ReportPhase.INTERRUPTED


def _channels(report: Any) -> int:
    return report.stream.stages[0].channels if report.stream and report.stream.stages else 0
