"""Input several times as large as the memory of the pods that read it: each runs in a control group of its own with that limit.

A head and a worker as processes, from JSON lines through validate, normalizeText and near duplicates to a Delta table.
The kernel ends whoever goes beyond the limit, so that a run that ends is the proof; what the report says of memory is
compared with what was seen of the worker's processes from outside. Needs root, for control groups.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from interval import Interval, Judge
from near_duplicates import COUNT, documents

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.run_report import RunReport
from tests.workers.data.runs import HEAD, WORKER, Run

LIMIT_MEGABYTES, TIMES, FILES = 2048, 5, 64
OFF = 0.2
EVERY_SECONDS, DEADLINE_SECONDS = 0.2, 3600
ROOTS = (("memory.limit_in_bytes", "/sys/fs/cgroup/memory"), ("memory.max", "/sys/fs/cgroup"))
"""Of the first and the second version of control groups."""


@contextmanager
def group(name: str, limit: int) -> Iterator[Path]:
    """A control group whose processes together have at most so many bytes; PermissionError where none can be made."""
    field, root = next((field, Path(root)) for field, root in ROOTS if _serves(Path(root)))
    made = root / f"headrace-{os.getpid()}-{name}"
    made.mkdir()
    try:
        (made / field).write_text(str(limit))
        yield made
    finally:
        for _ in range(50):
            with suppress(OSError):
                made.rmdir()
                break
            time.sleep(0.1)


def _serves(root: Path) -> bool:
    return (root / "memory.usage_in_bytes").exists() or "memory" in _read(root / "cgroup.controllers")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def move(process: "subprocess.Popen[bytes]", to: Path) -> None:
    """Puts a process, and all that it will start, into a group."""
    (to / "cgroup.procs").write_text(str(process.pid))


class Watch(threading.Thread):
    """The largest resident set of one process, and of all of them together, among a process and what it started."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(process.pid)
        self._ended = threading.Event()
        self.one, self.all = 0, 0
        self.start()

    def run(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            sizes = []
            with suppress(psutil.NoSuchProcess):
                for each in (self._process, *self._process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        sizes.append(each.memory_info().rss)
            self.one, self.all = max([self.one, *sizes]), max(self.all, sum(sizes))

    def end(self) -> None:
        """Stops looking."""
        self._ended.set()
        self.join()


def measure(judge: Judge, limit_megabytes: int = LIMIT_MEGABYTES, times: int = TIMES) -> None:
    """Prints how long it took and what memory was taken; says which bound is missed."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        given = documents(folder / "documents", limit_megabytes * times, files=FILES)
        print(
            f"{given.written:,} documents, {given.megabytes:,.0f} MB; {limit_megabytes:,} MB of memory each for head and worker",
            flush=True,
        )
        spec = DataPipelineSpec.model_validate(
            {
                "source": {"files": {"uri": f"file:{given.folder}", "format": "JsonLines"}},
                "steps": [
                    {"validate": {"columns": [{"name": "text"}]}},
                    {"normalizeText": {"lowercase": True}},
                    {"deduplicate": {"near": {"threshold": 0.8}}},
                ],
                "sink": {"delta": {}},
                "workers": {"resources": {"cpu": "1", "memory": f"{limit_megabytes}Mi"}},
            }
        )
        (folder / "of-run").mkdir()
        run, limit = Run(folder / "of-run", spec), limit_megabytes << 20
        began = time.monotonic()
        with (
            group("head", limit) as of_head,
            group("worker", limit) as of_worker,
            run.process(HEAD) as head,
            run.process(WORKER) as worker,
        ):
            move(head, of_head)
            move(worker, of_worker)
            heads, workers = Watch(head), Watch(worker)
            ended = head.wait(DEADLINE_SECONDS)
            heads.end()
            workers.end()
        report = RunReport.model_validate_json((run.folder / "termination.json").read_text())
        print(
            f"{report.phase} after {time.monotonic() - began:.0f} s; resident at most: head's processes {heads.all / 2**20:,.0f} MB, "
            f"worker's {workers.all / 2**20:,.0f} MB, its largest {workers.one / 2**20:,.0f} MB",
            flush=True,
        )
        if ended or report.records is None or report.batch is None:
            print(f"MISSED it did not end: {report.reason}: {report.message}", flush=True)
            judge.missed = True
            return
        off = abs(report.records.written - given.originals) / given.originals
        judge.at_most("memory bound: records kept, off the truth", Interval(off, 0.0), COUNT)
        told = report.batch.memory_bytes
        off = abs(told - workers.one) / workers.one
        judge.at_most(f"memory bound: {told / 2**20:,.0f} MB told, off what was seen", Interval(off, 0.0), OFF)
