"""Real Ray processes on loopback: they join together, refuse strangers, and end with their pods."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.api.run_report import LOST_HEAD
from headrace_workers.ray_cluster import HeadSettings, require_free_port
from headrace_workers.ray_environment import make_private, prepare, socket_path
from headrace_workers.ray_worker import WorkerSettings

SOURCES = Path(__file__).parents[2]
MARK = "HEADRACE_TEST_MARK"

# Joins as many workers as asked for, says so, and stays until its standard input closes.
HEAD_PROGRAM = """
import json, os, signal, sys
from headrace_workers.ray_cluster import HeadSettings, start_head, stop_head, wait_for_workers
signal.signal(signal.SIGTERM, keep := lambda *_: None)
address = start_head(HeadSettings.from_environment(os.environ))
heard = []
names = wait_for_workers(int(sys.argv[1]), 60, heard.append)
import ray
TASK
print(json.dumps({"address": address, "names": names, "heard": heard, "answer": answer,
    "total": ray.cluster_resources(), "kept": signal.getsignal(signal.SIGTERM) is keep}), flush=True)
sys.stdin.read()
stop_head()
"""

NO_TASK = "answer = None"

CHILD_TASK = """
@ray.remote(resources={"worker": 1}, num_cpus=1)
def leave_a_child():
    import subprocess
    return subprocess.Popen(["sleep", "300"], start_new_session=True).pid
answer = ray.get(leave_a_child.remote())
"""

VARIABLE_TASK = """
@ray.remote(resources={"worker": 1}, runtime_env={"env_vars": {"COLOUR": "blue"}})
def colour():
    return os.environ["COLOUR"]
answer = ray.get(colour.remote(), timeout=40)
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Pods:
    """The processes of one run's pods, found again by a mark in their environment or by session.

    Ray's processes overwrite their environment when they set their title; what a task detaches
    has a session of its own.
    """

    temp: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    port: int = field(default_factory=free_port)
    started: list[tuple[str, "subprocess.Popen[str]"]] = field(default_factory=list)

    def start(self, name: str, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """Start a pod in a session of its own."""
        environ = os.environ | {
            "PYTHONPATH": f"{SOURCES / 'operator'}:{SOURCES / 'workers'}",
            "HEADRACE_RAY_TEMP": str(self.temp),
            "HEADRACE_POD_IP": "127.0.0.1",
            "HEADRACE_PORT_RAY": str(self.port),
            "HEADRACE_HEAD_ADDRESS": f"127.0.0.1:{self.port}",
            "HEADRACE_TOKEN": "a-token-of-this-run-and-no-other",
            "HEADRACE_POD_NAME": name,
            MARK: f"{self.mark}-{name}",
            **variables,
        }
        pod = subprocess.Popen(
            [sys.executable, *command],
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if name == "head" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if name == "head" else subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append((name, pod))
        return pod

    def head(self, workers: int, task: str = NO_TASK, **variables: str) -> "subprocess.Popen[str]":
        """Start a head that waits for `workers` and then runs `task`."""
        program = HEAD_PROGRAM.replace("TASK", task)
        return self.start("head", "-c", program, str(workers), **variables)

    def worker(self, name: str, **variables: str) -> "subprocess.Popen[str]":
        """Start a worker that joins the head."""
        return self.start(name, "-m", "headrace_workers.ray_worker", **variables)

    def alive(self, name: str = "") -> list[psutil.Process]:
        """Return the living processes of the pod `name`, or of all pods."""
        return [p for p in psutil.process_iter() if self._belongs(p, name)]

    def gone_within(self, seconds: float, name: str = "") -> bool:
        """Say whether the pod's last process ends within `seconds`."""
        ends = time.monotonic() + seconds
        while self.alive(name):
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        return True

    def sessions(self, name: str) -> set[int]:
        """Return the sessions of the pod `name`, or of all pods."""
        return {pod.pid for started, pod in self.started if started.startswith(name)}

    def _belongs(self, process: psutil.Process, name: str) -> bool:
        try:
            mark = process.environ().get(MARK, "")
            ours = mark.startswith(f"{self.mark}-{name}")
            if not ours and os.getsid(process.pid) not in self.sessions(name):
                return False
            return bool(process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.Error, ProcessLookupError):
            return False


def said(head: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return what the head printed once its workers had joined."""
    assert head.stdout is not None
    for line in head.stdout:
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    raise AssertionError(f"the head ended with exit code {head.wait()} before it said anything")


def errors(worker: "subprocess.Popen[str]") -> str:
    """Return what the worker wrote to standard error until its end."""
    assert worker.stderr is not None
    return worker.stderr.read()


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share one folder among the tests, so that compiled modules are kept from one to the next."""
    return tmp_path_factory.mktemp("ray")


@pytest.fixture
def pods(temp: Path) -> Iterator[Pods]:
    """Start pods, and end what a failed test leaves of them."""
    started = Pods(temp)
    yield started
    for process in started.alive():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for _, pod in started.started:
        pod.wait()
        for stream in (pod.stdin, pod.stdout, pod.stderr):
            if stream:
                stream.close()


@pytest.mark.ray
def test_pods_that_start_together_form_one_cluster(pods: Pods) -> None:
    """A head and two workers started at one moment on one host join, listening on loopback only."""
    head = pods.head(2)
    workers = [pods.worker("w1"), pods.worker("w2", HEADRACE_CPUS="3")]
    cluster = said(head)
    assert cluster["names"] == ["w1", "w2"]
    assert cluster["heard"][-1] == 2
    assert cluster["total"]["worker"] == 2
    assert cluster["total"]["CPU"] == 4
    assert cluster["address"] == f"127.0.0.1:{pods.port}"
    assert cluster["kept"], "start_head replaced the pod's handler of SIGTERM"
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in pods.alive()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert all(worker.poll() is None for worker in workers)


@pytest.mark.ray
def test_a_terminated_worker_takes_everything_with_it(pods: Pods) -> None:
    """On SIGTERM a worker exits 0 within 3 s, with processes that tasks detached from it."""
    head = pods.head(1, CHILD_TASK)
    worker = pods.worker("w1")
    assert psutil.pid_exists(said(head)["answer"])
    began = time.monotonic()
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert time.monotonic() - began < 3
    assert pods.gone_within(0, "w1")
    assert head.poll() is None


@pytest.mark.ray
def test_a_killed_worker_leaves_nothing(pods: Pods) -> None:
    """A worker killed with SIGKILL, which it cannot answer, leaves no process of Ray behind."""
    head = pods.head(1)
    worker = pods.worker("w1")
    said(head)
    worker.kill()
    assert pods.gone_within(5, "w1")


@pytest.mark.ray
def test_a_killed_head_takes_the_cluster_with_it(pods: Pods) -> None:
    """Of a killed head nothing is left after 5 s; its worker says so and fails within 15 s."""
    head = pods.head(1)
    worker = pods.worker("w1")
    said(head)
    head.kill()
    assert pods.gone_within(5, "head")
    assert worker.wait(timeout=15) == LOST_HEAD
    assert f"worker w1: lost its head at 127.0.0.1:{pods.port}; " in errors(worker)
    assert pods.gone_within(0)


@pytest.mark.ray
def test_a_stopped_head_leaves_nothing(pods: Pods, temp: Path) -> None:
    """stop_head ends the head's processes and removes its sockets and its session."""
    head = pods.head(0)
    said(head)
    head.communicate(timeout=10)
    assert head.returncode == 0
    assert pods.gone_within(0)
    assert not list((temp / "ray").glob(f"{head.pid}.*"))
    assert not list((temp / "ray").glob(f"session_*_{head.pid}"))


@pytest.mark.ray
@pytest.mark.parametrize("token", ["another-token", ""])
def test_a_stranger_is_refused(pods: Pods, token: str) -> None:
    """A worker with another token or none cannot join, and is told which variable is wrong."""
    said(pods.head(0))
    worker = pods.worker("w1", HEADRACE_TOKEN=token)
    assert worker.wait(timeout=20) == 1
    assert "refused HEADRACE_TOKEN" in errors(worker)
    assert pods.gone_within(0, "w1")


@pytest.mark.ray
def test_a_worker_without_head_gives_up(pods: Pods) -> None:
    """A worker whose head never comes fails after its deadline with one sentence."""
    worker = pods.worker("w1", HEADRACE_JOIN_SECONDS="1")
    assert worker.wait(timeout=20) == 1
    assert errors(worker).splitlines()[-1] == (
        f"worker w1: the head at 127.0.0.1:{pods.port} could not be joined within 1 s; look at the head pod's log"
    )


@pytest.mark.ray
def test_runtime_environments_can_be_brought_back(pods: Pods) -> None:
    """With HEADRACE_RAY_RUNTIME_ENV=1 a task gets its own variables, and kills leave nothing."""
    head = pods.head(1, VARIABLE_TASK, HEADRACE_RAY_RUNTIME_ENV="1")
    worker = pods.worker("w1", HEADRACE_RAY_RUNTIME_ENV="1")
    assert said(head)["answer"] == "blue"
    worker.kill()
    head.kill()
    assert pods.gone_within(5)


def test_an_open_head_needs_a_token() -> None:
    """A head that other hosts can reach is refused without a token."""
    with pytest.raises(ValueError, match="set HEADRACE_TOKEN"):
        HeadSettings.from_environment({"HEADRACE_POD_IP": "10.0.0.7"})
    with_token = HeadSettings.from_environment({"HEADRACE_POD_IP": "10.0.0.7", "HEADRACE_TOKEN": "t"})
    assert with_token.port == 6379


def test_settings_name_the_wrong_variable() -> None:
    """A value that cannot be used is refused with its variable's name and what to write."""
    with pytest.raises(ValueError, match="HEADRACE_PORT_RAY is 'ray'; set it to a whole number"):
        HeadSettings.from_environment({"HEADRACE_PORT_RAY": "ray"})
    with pytest.raises(ValueError, match=r"HEADRACE_OBJECT_STORE_BYTES is '5'; .* 80000000"):
        HeadSettings.from_environment({"HEADRACE_OBJECT_STORE_BYTES": "5"})
    with pytest.raises(ValueError, match="HEADRACE_HEAD_ADDRESS is ''; set it to host:port"):
        WorkerSettings.from_environment({})


def test_a_late_start_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head started after ray was imported is refused: Ray would not know the token."""
    monkeypatch.setitem(sys.modules, "ray", sys)
    with pytest.raises(RuntimeError, match="start the head before anything imports ray"):
        prepare(HeadSettings(token="unknown-to-ray", temp=tmp_path))


def test_settings_keep_the_token_to_themselves() -> None:
    """Printing the settings does not print the token."""
    assert "secret" not in repr(HeadSettings(token="secret"))


def test_a_taken_port_is_named() -> None:
    """A port that something listens on is refused with its number and the variable to change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} .* set HEADRACE_PORT_RAY"):
            require_free_port("127.0.0.1", port)


def test_a_long_folder_is_refused() -> None:
    """A folder too long for a socket's path is refused before Ray fails on it."""
    with pytest.raises(ValueError, match="set HEADRACE_RAY_TEMP to a shorter folder"):
        socket_path(Path("/tmp/" + "x" * 100), "raylet")


def test_rays_folder_is_private(tmp_path: Path) -> None:
    """Ray's folder is open to its owner alone, and a link in its place is refused."""
    make_private(tmp_path / "ours")
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with pytest.raises(PermissionError, match="set HEADRACE_RAY_TEMP"):
        make_private(tmp_path / "link")
