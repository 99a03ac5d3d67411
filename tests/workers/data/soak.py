"""Pipelines whose every process is killed at seeded moments, again and again, and what must hold of what they made.

Moments lie anywhere: while the processes start, and while they work. Finished shards may not be made again; of those that
were being read, each worker has one.
"""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from deltalake import DeltaTable

from headrace.api.run_report import Records, RunReport
from tests.workers.data.builders import files, pipeline
from tests.workers.data.quarantined import Line, lines_in, repaired, write
from tests.workers.data.runs import DEADLINE_SECONDS, HEAD, WORKER, Run
from tests.workers.data.stream.broker import Broker
from tests.workers.data.stream.streams import spec_of

SHARDS, RECORDS = 300, 400
START_SECONDS = 8.0
WORK_SECONDS = 2.5
STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "value", "min": 0}]}},
    {"deduplicate": {"exact": {"columns": ["key"]}}},
]


@dataclass(frozen=True)
class Outcome:
    """What was found after so many kills: records that lack, that are there more than once, and finished shards that were made again."""

    what: str
    kills: int
    records: int
    lost: int
    doubled: int
    made_again: int
    balanced: bool
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or done twice, and the account is right."""
        return self.balanced and not (self.lost or self.doubled or self.made_again)


class Group:
    """A head and a worker with all that they start, which die together."""

    def __init__(self, run: Run) -> None:
        """Starts both."""
        self._processes = [_started(run, HEAD), _started(run, WORKER)]

    @property
    def head(self) -> "subprocess.Popen[bytes]":
        """The head's process."""
        return self._processes[0]

    def kill(self) -> None:
        """SIGKILL to every process, as when the machine loses its power."""
        found = list[psutil.Process]()
        for process in self._processes:
            try:
                own = psutil.Process(process.pid)
                found += [*own.children(recursive=True), own]
            except psutil.NoSuchProcess:
                continue
        for each in found:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        for process in self._processes:
            process.wait(DEADLINE_SECONDS)
        psutil.wait_procs(found, timeout=DEADLINE_SECONDS)


def _started(run: Run, module: str) -> "subprocess.Popen[bytes]":
    with (run.folder / f"{module}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            env=run.variables(module),
            start_new_session=True,
            stdout=log,
            stderr=log,
        )


@contextmanager
def _alive(run: Run) -> Iterator[Group]:
    group = Group(run)
    try:
        yield group
    finally:
        group.kill()


def message(key: int) -> dict[str, Any]:
    """Every tenth is bad."""
    return {"key": key, "value": -1 if key % 10 == 3 else key}


def batch(folder: Path, seed: int, kills: int) -> Outcome:
    """Files to Delta, killed so many times; where a run ends before its kill, another begins, and all must be right."""
    chance, started, killed, rounds, seen = random.Random(seed), time.monotonic(), 0, 0, list[Outcome]()
    while killed < kills:
        place = folder / f"round-{rounds}"
        (place / "raw").mkdir(parents=True)
        for shard in range(SHARDS):
            keys = range(shard * RECORDS, (shard + 1) * RECORDS)
            lines = [json.dumps(message(key)) + "\n" for key in keys for _ in range(2 if key % 5 == 0 else 1)]
            (place / "raw" / f"{shard:04d}.jsonl").write_text("".join(lines))
        run = Run(place, pipeline(files(place / "raw", "JsonLines"), *STEPS, quarantine={"maxFraction": 1.0}))
        before, again, ended = dict[str, int](), 0, False
        while killed < kills and not ended:
            with _alive(run) as group:
                ended = _is_over_before(run, group, chance)
            now = _pieces(place)
            again += sum(now.get(name, at) != at for name, at in before.items())
            before, killed = now, killed + (not ended)
        with _alive(run) as group:
            assert group.head.wait(10 * DEADLINE_SECONDS) == 0
        seen.append(_of_batch(place, again))
        rounds += 1
    total = Records(read=sum(each.records for each in seen))
    return Outcome(
        "files → Delta", killed, total.read, sum(each.lost for each in seen), sum(each.doubled for each in seen),
        sum(each.made_again for each in seen), all(each.balanced for each in seen), time.monotonic() - started,
    )  # fmt: skip


def _is_over_before(run: Run, group: Group, chance: random.Random) -> bool:
    """Waits for the moment of the next kill: one in three while the processes start; whether the run ended before."""
    early, waits = chance.random() < 1 / 3, chance.random()
    there = len(_pieces(run.folder))
    ends = time.monotonic() + (START_SECONDS * waits if early else DEADLINE_SECONDS)
    while time.monotonic() < ends and group.head.poll() is None:
        if not early and len(_pieces(run.folder)) > there:
            ends, early = time.monotonic() + WORK_SECONDS * waits, True
        time.sleep(0.01)
    return group.head.poll() is not None


def _pieces(place: Path) -> dict[str, int]:
    """The finished pieces, and when each was made."""
    found = {}
    for path in (place / "run" / "stages").glob("*/*.json"):
        try:
            found[path.name] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return found


def _of_batch(place: Path, again: int) -> Outcome:
    keys = SHARDS * RECORDS
    report = RunReport.model_validate_json((place / "termination.json").read_text())
    bad = [json.loads(line["record"])["key"] for line in lines_in(place / "run")]
    lost, doubled = _missed(place, [key for key in range(keys) if key % 10 != 3])
    lost += len({key for key in range(keys) if key % 10 == 3} - {*bad})
    doubled += len(bad) - len({*bad})
    is_one = DeltaTable(str(place / "table")).version() == 0
    balanced = is_one and report.records == _account(keys, bad=keys // 10)
    return Outcome("", 0, keys, lost, doubled, again, balanced, 0.0)


def _account(keys: int, bad: int = 0, replayed: int = 0) -> Records:
    equal = len(range(0, keys, 5))
    return Records(read=keys + equal, written=keys - bad, duplicates=equal, quarantined=bad, replayed=replayed)


def _missed(place: Path, wanted: list[int]) -> tuple[int, int]:
    """How many keys the table lacks, and how many are there more than once."""
    keys = DeltaTable(str(place / "table")).to_pyarrow_table()["key"].to_pylist()
    return len({*wanted} - {*keys}), len(keys) - len({*keys} & {*wanted})


def stream(broker: Broker, folder: Path, seed: int, kills: int) -> Outcome:
    """Kafka to Delta, killed so many times while messages come and bad ones are repaired, until all are in the table."""
    chance, started = random.Random(seed), time.monotonic()
    topic = broker.topic(2)
    run = Run(folder, spec_of(topic.source, STEPS[0], {"deduplicate": {"exact": {"columns": ["key"], "withinSeconds": 86_400}}}, quarantine={"maxFraction": 1.0}))  # fmt: skip
    said, stopping = 0, threading.Event()

    def say() -> None:
        nonlocal said
        while not stopping.is_set():
            some = range(said, said + 50)
            topic.say([message(key) for key in some], said // 50 % 2)
            topic.say([message(key) for key in some if key % 5 == 0], (said // 50 + 1) % 2)
            said += 50
            stopping.wait(0.2)

    teller = threading.Thread(target=say)
    teller.start()
    try:
        for number in range(kills):
            with _alive(run):
                if chance.random() < 1 / 3:
                    time.sleep(START_SECONDS * chance.random())
                else:
                    _until_read(run)
                    time.sleep(2 * WORK_SECONDS * chance.random())
            if number % 3 == 0:
                _repair(folder)
    finally:
        stopping.set()
        teller.join()
    bad, account = len(range(3, said, 10)), Records()
    with _alive(run) as group:
        _until_all(run, _account(said).read)
        _repair(folder)
        run.until_reported(lambda report: report.records is not None and report.records.replayed == bad)
        group.head.send_signal(signal.SIGTERM)
        assert group.head.wait(DEADLINE_SECONDS) == 3
    account = RunReport.model_validate_json((folder / "termination.json").read_text()).records or Records()
    lost, doubled = _missed(folder, list(range(said)))
    balanced = account == _account(said, replayed=bad)
    return Outcome("Kafka → Delta", kills, said, lost, doubled, 0, balanced, time.monotonic() - started)


def _until_read(run: Run) -> None:
    before = len(list((run.folder / "table").glob("*.parquet")))
    ends = time.monotonic() + DEADLINE_SECONDS
    while len(list((run.folder / "table").glob("*.parquet"))) <= before:
        assert time.monotonic() < ends, f"no commit within {DEADLINE_SECONDS} s"
        time.sleep(0.01)


def _until_all(run: Run, records: int) -> None:
    run.until_reported(
        lambda report: report.records is not None and report.records.read >= records, 4 * DEADLINE_SECONDS
    )


def _repair(folder: Path) -> None:
    """Repairs all that is in the quarantine now, a head that died before its commit wrote included."""

    def good(line: Line) -> dict[str, Any]:
        key = json.loads(line["record"])["key"]
        return {"key": key, "value": key}

    partial = write(folder / "run" / "partial.jsonl", repaired(lines_in(folder / "run"), good))
    (folder / "run" / "repaired").mkdir(exist_ok=True)
    partial.replace(folder / "run" / "repaired" / "all.jsonl")


def told(outcome: Outcome) -> str:
    """A row of the table that is printed."""
    return (
        f"{outcome.what:<14} {outcome.kills:>5} {outcome.records:>9,} {outcome.lost:>5} {outcome.doubled:>8} "
        f"{outcome.made_again:>11} {'yes' if outcome.balanced else 'NO':>8} {outcome.seconds:>8.0f}"
    )


HEADER = (
    f"{'':<14} {'kills':>5} {'records':>9} {'lost':>5} {'doubled':>8} {'made again':>11} {'account':>8} {'seconds':>8}"
)
