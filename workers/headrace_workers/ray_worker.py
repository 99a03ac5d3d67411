"""Run a worker pod's raylet: join the run's head, stay with it, leave when the head has saved, leave nothing behind.

`python -m headrace_workers.ray_worker`. Two processes: this one, which never imports ray and so
stays small, and its child, which imports ray while the head may still be starting, and then
becomes the raylet. The raylet ends with this process, however that ends, and everything that
tasks started ends with the raylet.
"""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import psutil

from headrace.api import environment
from headrace.api.run_report import LOST_HEAD
from headrace_workers import ray_environment
from headrace_workers.departures import ask_to_leave
from headrace_workers.ray_cluster import WORKER_RESOURCE
from headrace_workers.ray_environment import NodeSettings, node_fields, whole_number

JOIN_SECONDS = "HEADRACE_JOIN_SECONDS"
DEFAULT_JOIN_SECONDS = 120
WORKER_OBJECT_STORE_BYTES = 100_000_000
# Together under the 3 s that a stopping worker has when its head let it go.
END_SECONDS = 1.5
KILL_SECONDS = 1.0
# What of the grace period is left for that, and for an answer that comes late.
OWN_END_SECONDS = 4
PROBE_SECONDS = 1.0
RETRY_SECONDS = 0.1

# The child has said why it ends; anything else needs the supervisor's sentence.
EXPLAINED = 64

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(NodeSettings):
    """Which head (`host:port`) to join, whom to ask for leave, and what the node offers to the run."""

    head: str
    head_report: str = ""
    grace_seconds: int = environment.GRACE_SECONDS_DEFAULT
    object_store_bytes: int = WORKER_OBJECT_STORE_BYTES
    cpus: int = environment.CPUS_DEFAULT
    gpus: int = environment.GPUS_DEFAULT
    join_seconds: int = DEFAULT_JOIN_SECONDS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "WorkerSettings":
        """Read the settings from a pod's environment; ValueError says which variable is wrong."""
        head = environ.get(environment.HEAD_ADDRESS, "")
        host, _, port = head.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{environment.HEAD_ADDRESS} is {head!r}; set it to host:port")
        return cls(
            **node_fields(environ, WORKER_OBJECT_STORE_BYTES),
            head=head,
            head_report=environ.get(environment.HEAD_REPORT_ADDRESS, ""),
            grace_seconds=whole_number(environ, environment.GRACE_SECONDS, environment.GRACE_SECONDS_DEFAULT, 1),
            cpus=whole_number(environ, environment.CPUS, environment.CPUS_DEFAULT, 0),
            gpus=whole_number(environ, environment.GPUS, environment.GPUS_DEFAULT, 0),
            join_seconds=whole_number(environ, JOIN_SECONDS, DEFAULT_JOIN_SECONDS, 1),
        )


class Stopped(Exception):
    """SIGTERM or SIGINT arrived."""


def main(environ: Mapping[str, str]) -> int:
    """Return the exit code: 0 after SIGTERM, 1 when the worker could not join or lost its head."""
    try:
        settings = WorkerSettings.from_environment(environ)
    except ValueError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1
    return supervise(settings)


def supervise(settings: WorkerSettings) -> int:
    """Run the raylet as child until it ends or SIGTERM comes, and end what is left of it."""
    raylet = 0
    try:
        signal.signal(signal.SIGTERM, _raise_stopped)
        signal.signal(signal.SIGINT, _raise_stopped)
        # Tasks' own child processes come to us when their parents die, so that we can end them.
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        supervisor = os.getpid()
        raylet = os.fork()
        if raylet == 0:
            _become_raylet(settings, supervisor)
        status = _wait_for(raylet)
        lost = not accepts(settings.head, PROBE_SECONDS)
    except Stopped:
        _take_leave(settings)
        _end_descendants()
        return 0
    finally:
        if raylet:
            ray_environment.remove_sockets(settings.temp, raylet)
    _end_descendants()
    if status != EXPLAINED:
        print(f"worker {settings.pod_name}: {_why_ended(settings, status, lost)}", file=sys.stderr)
    return LOST_HEAD if lost and status != EXPLAINED else 1


def _why_ended(settings: WorkerSettings, status: int, lost: bool) -> str:
    if lost:
        return f"lost its head at {settings.head}; the run's next attempt needs new workers"
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return f"its raylet ended with {how} while the head is up; Ray's lines above say why"


def _wait_for(raylet: int) -> int:
    """Return the raylet's exit code, reaping meanwhile the orphans that come to us."""
    while True:
        child, status = os.wait()
        if child == raylet:
            return os.waitstatus_to_exitcode(status)


def _take_leave(settings: WorkerSettings) -> None:
    """Wait until the head has saved what this worker takes part in, as long as the grace period allows."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if not settings.head_report:
        return
    seconds = max(settings.grace_seconds - OWN_END_SECONDS, 1)
    if refusal := ask_to_leave(settings.head_report, settings.pod_name, settings.token, seconds):
        print(f"worker {settings.pod_name}: leaves without the head's consent: {refusal}", file=sys.stderr)


def _end_descendants() -> None:
    """End every process below this one: first politely, for the raylet tells the head."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    me = psutil.Process()
    for child in me.children():
        _send(child, signal.SIGTERM)
    psutil.wait_procs(me.children(), timeout=END_SECONDS)
    ends = time.monotonic() + KILL_SECONDS
    # Killing a parent hands us its children, so ask again until none is left.
    while (left := me.children(recursive=True)) and time.monotonic() < ends:
        for process in left:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=RETRY_SECONDS)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        # It ended by itself between being listed and being told to.
        return


def _become_raylet(settings: WorkerSettings, supervisor: int) -> NoReturn:
    """Turn this child into a raylet that has joined the head, or explain why not and exit."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C in a terminal reaches the supervisor, which ends the raylet in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(EXPLAINED)
    ends = time.monotonic() + settings.join_seconds
    try:
        _join(settings, ends)
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        print(f"worker {settings.pod_name}: {first_line}", file=sys.stderr, flush=True)
    os._exit(EXPLAINED)


def _join(settings: WorkerSettings, ends: float) -> None:
    ray_environment.prepare(settings)
    from headrace_workers.ray_processes import LeanNode, head_is_ready

    while not (accepts(settings.head, PROBE_SECONDS) and head_is_ready(settings.head)):
        if time.monotonic() > ends:
            raise TimeoutError(
                f"the head at {settings.head} could not be joined within "
                f"{settings.join_seconds} s; look at the head pod's log"
            )
        time.sleep(RETRY_SECONDS)
    LeanNode(
        settings,
        head=False,
        start=_replace_this_process,
        gcs_address=settings.head,
        num_cpus=settings.cpus,
        num_gpus=settings.gpus,
        resources={WORKER_RESOURCE: 1},
    )


def _replace_this_process(command: list[str], *_: Any, **__: Any) -> NoReturn:
    os.execv(command[0], command)


def accepts(address: str, timeout_seconds: float) -> bool:
    """Say whether something accepts TCP connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_seconds).close()
    except OSError:
        return False
    return True


def _raise_stopped(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process; only Linux has them."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    sys.exit(main(os.environ))
