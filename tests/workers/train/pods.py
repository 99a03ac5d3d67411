"""A training run as processes: a head and its workers, started as the operator starts their pods."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from headrace.api.artifacts import DatasetVersion
from headrace.api.run_report import RunReport
from headrace.api.run_spec import RunIdentity, RunSpec
from headrace.api.train_job import TrainJobSpec


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_spec(folder: Path, dataset: DatasetVersion, **changes: Any) -> RunSpec:
    """The run of a Perceptron on the digits; `changes` are fields of the TrainJob's spec."""
    spec = TrainJobSpec.model_validate(
        {
            "dataset": {"pipeline": "digits"},
            "model": {"builtin": "Perceptron", "parameters": {"hidden": 128}},
            "optimizer": {"learningRate": 0.003},
            "epochs": 20,
            "evaluation": {"metrics": ["accuracy", "f1"], "everySteps": 100},
            "checkpoints": {"everySteps": 50},
            "workers": {"min": 2, "max": 2},
            "seed": 7,
            **changes,
        }
    )
    identity = RunIdentity(
        kind="TrainJob", namespace="default", name="digits", uid="0a1b2c3d", run=1, attempt=1, digest="sha256:run"
    )
    return RunSpec(
        identity=identity, storage=f"file://{folder}/run", publish=f"file://{folder}/models",
        min_workers=spec.workers.min, max_workers=spec.workers.max, dataset=dataset, train=spec,
    )  # fmt: skip


@dataclass
class Pods:
    """The processes of one run; `close` ends them all."""

    folder: Path
    spec: RunSpec
    python_path: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Chooses ports and writes the spec."""
        self.ray_port, self.report_port = free_port(), free_port()
        self.write_spec()

    def write_spec(self) -> None:
        """Has pods that start read the spec as it is."""
        (self.folder / "run.json").write_text(self.spec.model_dump_json(by_alias=True))

    def address(self, name: str) -> str:
        """Where a pod listens."""
        return "127.0.0.1"

    def prefix(self, name: str) -> list[str]:
        """The command that starts a pod's process, if it is not started directly."""
        return []

    def start(self, name: str, module: str) -> subprocess.Popen[bytes]:
        """Starts one pod's process; a log of its name gets what it prints."""
        head = self.address("head")
        environment = {
            **os.environ, "HEADRACE_POD_NAME": name, "HEADRACE_POD_IP": self.address(name), "HEADRACE_TOKEN": "t" * 32,
            "HEADRACE_RUN_SPEC": str(self.folder / "run.json"), "HEADRACE_TERMINATION_LOG": str(self.folder / f"{name}.end"),
            "HEADRACE_HEAD_ADDRESS": f"{head}:{self.ray_port}", "HEADRACE_PORT_RAY": str(self.ray_port),
            "HEADRACE_PORT_REPORT": str(self.report_port), "HEADRACE_HEAD_REPORT_ADDRESS": f"{head}:{self.report_port}",
            "HEADRACE_CPUS": "1", "HEADRACE_RAY_RUNTIME_ENV": "1",
            "PYTHONPATH": os.pathsep.join(part for part in (self.python_path, *sys.path) if part),
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix(name), sys.executable, "-m", module],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.processes[name] = process
        return process

    def start_all(self, workers: int = 2) -> None:
        """The head and its workers."""
        self.start("head", "headrace_workers.train")
        for number in range(workers):
            self.start(f"worker-{number}", "headrace_workers.ray_worker")

    def report(self) -> RunReport | None:
        """The head's live report; none while it does not answer."""
        request = Request(
            f"http://{self.address('head')}:{self.report_port}/report", headers={"Authorization": f"Bearer {'t' * 32}"}
        )
        try:
            with urlopen(request, timeout=2) as answer:
                return RunReport.model_validate_json(answer.read())
        except (OSError, HTTPException):
            return None

    def wait_until(self, holds: Any, seconds: float) -> RunReport:
        """The first report for which `holds`; TimeoutError with the head's log otherwise."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if (report := self.report()) and holds(report):
                return report
            if self.processes["head"].poll() is not None:
                break
            time.sleep(0.1)
        raise TimeoutError((self.folder / "head.log").read_text()[-4000:])

    def end(self, seconds: float) -> RunReport:
        """The final report, once the head has ended by itself."""
        self.processes["head"].wait(seconds)
        return RunReport.model_validate(json.loads((self.folder / "head.end").read_text()))

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
