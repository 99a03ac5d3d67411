"""The entry point as the operator starts it: a head and a worker as processes, on Ray."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.api import environment
from headrace.api.run_report import ReportPhase, RunReport
from headrace.api.run_spec import RunSpec
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder
from tests.workers.data.builders import digits, identity

pytestmark = pytest.mark.ray

DEADLINE_SECONDS = 120


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Run:
    """One run's folder and environment; heads and workers are started as processes."""

    def __init__(self, folder: Path) -> None:
        """Writes the RunSpec of the digits pipeline."""
        self.folder = folder
        spec = RunSpec(
            identity=identity(), storage=f"file:{folder}/run", publish=f"file:{folder}/table", pipeline=digits()
        )
        (folder / "run.json").write_text(spec.model_dump_json(by_alias=True, exclude_none=True))
        ray_port = free_port()
        self.environment = {
            **os.environ,
            environment.RUN_SPEC: str(folder / "run.json"),
            environment.TERMINATION_LOG: str(folder / "termination.json"),
            environment.TOKEN: "0123456789abcdef0123456789abcdef",
            environment.POD_IP: "127.0.0.1",
            environment.PORT_RAY: str(ray_port),
            environment.HEAD_ADDRESS: f"127.0.0.1:{ray_port}",
        }

    @contextmanager
    def process(self, module: str) -> Iterator["subprocess.Popen[bytes]"]:
        """One pod's process, ended at the latest when the block ends."""
        more = {environment.POD_NAME: module.rpartition(".")[2], environment.PORT_REPORT: str(free_port())}
        process = subprocess.Popen([sys.executable, "-m", module], env={**self.environment, **more})
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def finish(self, *, workers: bool = True) -> RunReport:
        """Runs a head, and a worker unless none may be needed, to the head's end; returns the final report."""
        with (
            self.process("headrace_workers.data") as head,
            self.process("headrace_workers.ray_worker") if workers else nullcontext(),
        ):
            assert head.wait(DEADLINE_SECONDS) == 0
        return RunReport.model_validate_json((self.folder / "termination.json").read_text())

    def until(self, pattern: str) -> None:
        """Waits for a file of the run's storage."""
        ends = time.monotonic() + DEADLINE_SECONDS
        while not list((self.folder / "run").glob(pattern)):
            assert time.monotonic() < ends, f"no {pattern} in {self.folder}/run"
            time.sleep(0.005)

    def until_head_listens(self) -> None:
        """Waits for the head's Ray port."""
        host, _, port = self.environment[environment.HEAD_ADDRESS].rpartition(":")
        ends = time.monotonic() + DEADLINE_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            assert time.monotonic() < ends, f"nothing listens on {host}:{port}"
            time.sleep(0.05)


def test_a_run_ends_with_a_dataset_version(tmp_path: Path) -> None:
    """The report names the version, the table holds it, and the fitted preprocessing lies beside it."""
    report = Run(tmp_path).finish()
    assert (report.phase, report.workers) == (ReportPhase.COMPLETE, 1)
    assert report.dataset is not None
    assert report.records is not None
    table = DeltaTable(str(tmp_path / "table"))
    assert (table.version(), table.count()) == (report.dataset.version, report.dataset.records)
    assert report.records.read == report.records.written == 1797
    assert Preprocessing.load(Folder(report.dataset.artifacts)).features == "image"
    assert not (tmp_path / "run" / "stages").exists()


def test_a_run_killed_midway_is_finished_once(tmp_path: Path) -> None:
    """After kill -9 of the head, and with its commit forgotten by its storage, the same command makes no second version."""
    run = Run(tmp_path)
    with run.process("headrace_workers.data") as head, run.process("headrace_workers.ray_worker"):
        run.until("stages/*/000-*.json")
        head.send_signal(signal.SIGKILL)
        head.wait(DEADLINE_SECONDS)
    assert not (tmp_path / "table").exists()
    report = run.finish()
    (tmp_path / "run" / "report.json").unlink()
    again = run.finish(workers=False)
    assert again.dataset == report.dataset
    assert again.records == report.records
    assert DeltaTable(str(tmp_path / "table")).version() == 0


def test_a_run_asked_to_stop_leaves_nothing_half_visible(tmp_path: Path) -> None:
    """SIGTERM ends the run as Interrupted, even while it waits for workers that never come, and without a table."""
    run = Run(tmp_path)
    with run.process("headrace_workers.data") as head:
        run.until_head_listens()
        head.send_signal(signal.SIGTERM)
        assert head.wait(DEADLINE_SECONDS) == 3
    assert json.loads((tmp_path / "termination.json").read_text())["phase"] == ReportPhase.INTERRUPTED
    assert not (tmp_path / "table").exists()
