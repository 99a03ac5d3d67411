"""Runs of pipelines as the operator starts them: a head and workers as processes, on Ray."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.request import Request, urlopen

from headrace.api import environment
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.run_report import RunReport
from headrace.api.run_spec import RunSpec
from tests.workers.data.builders import digits, identity

DEADLINE_SECONDS = 120
HEAD, WORKER = "headrace_workers.data", "headrace_workers.ray_worker"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Run:
    """One run's folder and environment; heads and workers are started as processes."""

    def __init__(self, folder: Path, pipeline: DataPipelineSpec | None = None) -> None:
        """Writes the RunSpec of a pipeline; of the digits, if none is given."""
        self.folder = folder
        spec = RunSpec(
            identity=identity(),
            storage=f"file:{folder}/run",
            publish=f"file:{folder}/table",
            pipeline=pipeline or digits(),
        )
        (folder / "run.json").write_text(spec.model_dump_json(by_alias=True, exclude_none=True))
        ray_port, self.report_port = free_port(), free_port()
        self.environment = {
            **os.environ,
            environment.RUN_SPEC: str(folder / "run.json"),
            environment.TERMINATION_LOG: str(folder / "termination.json"),
            environment.TOKEN: "0123456789abcdef0123456789abcdef",
            environment.POD_IP: "127.0.0.1",
            environment.PORT_RAY: str(ray_port),
            environment.HEAD_ADDRESS: f"127.0.0.1:{ray_port}",
        }

    def variables(self, module: str, name: str = "") -> dict[str, str]:
        """The environment of one pod's process."""
        return {
            **self.environment,
            environment.POD_NAME: name or module.rpartition(".")[2],
            environment.PORT_REPORT: str(self.report_port if module == HEAD else free_port()),
        }

    @contextmanager
    def process(self, module: str, name: str = "") -> Iterator["subprocess.Popen[bytes]"]:
        """One pod's process, ended at the latest when the block ends."""
        process = subprocess.Popen([sys.executable, "-m", module], env=self.variables(module, name))
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
            self.process(HEAD) as head,
            self.process(WORKER) if workers else nullcontext(),
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

    def report(self) -> RunReport | None:
        """What the head answers now; None if it does not."""
        request = Request(
            f"http://127.0.0.1:{self.report_port}/report",
            headers={"Authorization": f"Bearer {self.environment[environment.TOKEN]}"},
        )
        try:
            with urlopen(request, timeout=5) as answer:
                return RunReport.model_validate_json(answer.read())
        except OSError:
            return None

    def until_reported(self, done: Callable[[RunReport], bool], seconds: float = DEADLINE_SECONDS) -> RunReport:
        """Waits until what the head reports is so."""
        ends, last = time.monotonic() + seconds, None
        while time.monotonic() < ends:
            last = self.report()
            if last is not None and done(last):
                return last
            time.sleep(0.1)
        raise TimeoutError(f"not within {seconds:g} s; the last report was {last}")
