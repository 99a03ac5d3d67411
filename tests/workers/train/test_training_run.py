"""Whole runs of the entry point: a head and two workers as processes, with real Ray."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.api.run_report import ReportPhase
from headrace_workers.model_version import ModelFolder
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import Pods, run_spec

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SECONDS = 240
LONG = {"epochs": 400}
POWER_SGD = {"powerSgd": {"rank": 4, "warmupSteps": 10}}


@pytest.fixture
def open_pods(tmp_path: Path) -> Iterator[Any]:
    opened: list[Pods] = []

    def start(python_path: str = "", **changes: Any) -> Pods:
        pods = Pods(tmp_path, run_spec(tmp_path, digits_version(tmp_path), **changes), python_path)
        opened.append(pods)
        pods.start_all()
        return pods

    yield start
    for pods in opened:
        pods.close()


def test_a_run_publishes_a_model_that_recognises_digits(open_pods: Any, tmp_path: Path) -> None:
    """Two workers with PowerSGD: over 95 % on held-out digits, fewer bytes than uncompressed, a version that opens."""
    pods = open_pods(compression=POWER_SGD)
    report = pods.end(SECONDS)
    assert (report.phase, report.progress.step, report.group_restarts) == (ReportPhase.COMPLETE, 460, 0)
    assert report.metrics["accuracy"] > 0.95
    assert report.traffic and report.traffic.bytes_sent < report.traffic.bytes_uncompressed / 4
    assert report.model and ModelFolder.open(report.model).document.metrics == report.metrics
    assert (tmp_path / "run" / "events").is_dir()
    again = Pods(tmp_path, pods.spec)
    again.start("head", "headrace_workers.train")
    assert again.end(60).model == report.model


def test_a_killed_worker_is_replaced_while_the_other_trains_on(open_pods: Any) -> None:
    """SIGKILL of a worker and a new one of the same name: no restart, no checkpoint read, and two train again."""
    pods = open_pods(**LONG, workers={"min": 1, "max": 2}, compression={"int4": {}})
    pods.wait_until(lambda report: report.workers == 2 and report.progress.step > 100, SECONDS)
    pods.processes["worker-1"].kill()
    pods.processes["worker-1"].wait()
    alone = pods.wait_until(lambda report: report.workers == 1, SECONDS)
    pods.start("worker-1", "headrace_workers.ray_worker")
    pods.wait_until(lambda report: report.workers == 2, SECONDS)
    report = pods.wait_until(lambda report: report.progress.step > alone.progress.step + 100, SECONDS)
    assert (report.group_restarts, report.resumed_from) == (0, None)


def test_a_worker_that_hangs_is_ended(open_pods: Any) -> None:
    """A process that does not answer is killed, and another takes its place on the same pod."""
    pods = open_pods(**LONG)
    report = pods.wait_until(lambda report: report.workers == 2 and report.progress.step > 100, SECONDS)
    process = member_of(pods, "worker-1")
    process.suspend()
    psutil.wait_procs([process], timeout=SECONDS)
    assert not process.is_running()
    again = pods.wait_until(lambda now: now.progress.step > report.progress.step + 300, SECONDS)
    assert again.hangs and (again.hangs.count, again.hangs.pod) == (1, "worker-1")
    assert again.hangs.why.startswith("it has not answered for")
    assert (again.workers, again.group_restarts, again.resumed_from) == (2, 0, None)


def member_of(pods: Pods, pod: str) -> psutil.Process:
    """The process that trains on a pod."""
    below = psutil.Process(pods.processes[pod].pid).children(recursive=True)
    return next(each for each in below if "Member" in " ".join(each.cmdline()))


@pytest.mark.parametrize("elastic", [True, False], ids=["elastic", "fixed"])
def test_a_group_grows_and_shrinks_without_losing_a_step(open_pods: Any, tmp_path: Path, elastic: bool) -> None:
    """A third worker is let in, and let go on SIGTERM; where torchft is missing, each time after a checkpoint of that moment."""
    if not elastic:
        (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torchft'] = None\n")
    steps = {"epochs": 4000, "checkpoints": {"everySteps": 1_000_000}, "evaluation": {"everySteps": 1_000_000}}
    pods = open_pods("" if elastic else str(tmp_path), **steps, workers={"min": 1, "max": 3})
    pods.wait_until(lambda report: report.workers == 2 and report.progress.step > 50, SECONDS)
    pods.start("worker-2", "headrace_workers.ray_worker")
    grown = pods.wait_until(lambda report: report.workers == 3, SECONDS)
    pods.wait_until(lambda report: report.workers == 3 and report.progress.step > grown.progress.step + 50, SECONDS)
    pods.processes["worker-2"].terminate()
    shrunk = pods.wait_until(lambda report: report.workers == 2, SECONDS)
    assert pods.processes["worker-2"].wait(10) == 0
    assert "without the head's consent" not in (pods.folder / "worker-2.log").read_text()
    assert shrunk.elastic is elastic
    if elastic:
        assert (shrunk.group_restarts, shrunk.resumed_from, shrunk.checkpoint) == (0, None, None)
    else:
        assert shrunk.resumed_from == shrunk.checkpoint.step >= grown.checkpoint.step > 50


def test_a_head_that_is_asked_to_go_saves_first(open_pods: Any) -> None:
    """SIGTERM on the head: a checkpoint of that very moment, Interrupted, and within seconds."""
    pods = open_pods(**LONG, checkpoints={"everySteps": 100_000})
    pods.wait_until(lambda report: report.progress.step > 100, SECONDS)
    pods.processes["head"].terminate()
    report = pods.end(20)
    assert report.phase == ReportPhase.INTERRUPTED
    assert report.checkpoint and report.checkpoint.step > 100


def test_a_model_that_raises_ends_the_run_at_once(open_pods: Any, tmp_path: Path) -> None:
    """A bug in the user's network is ModelFailed with its line and step, and is not tried again."""
    (tmp_path / "my_model.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.linear, self.calls = torch.nn.Linear(64, 10), 0\n"
        "    def forward(self, images):\n"
        "        self.calls += 1\n"
        "        if self.calls == 3:\n"
        "            raise ValueError('no more')\n"
        "        return self.linear(images.flatten(1))\n"
    )
    pods = open_pods(python_path=str(tmp_path), model={"module": "my_model:Net"})
    report = pods.end(SECONDS)
    assert (report.phase, report.reason, report.retryable) == (ReportPhase.FAILED, "ModelFailed", False)
    assert "ValueError: no more at my_model.py:9, step 3" in report.message
