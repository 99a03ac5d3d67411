"""Start a run's Ray head in the head pod's own process, and wait for the workers that join it.

The same code runs in Kubernetes (each pod has its address) and in local mode (all on loopback).
A head never runs tasks that ask for CPUs or GPUs, never outlives its process, and is never open
to other hosts without a token.
"""

import atexit
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.api import environment
from headrace_workers import ray_environment
from headrace_workers.ray_environment import NodeSettings, node_fields, whole_number

if TYPE_CHECKING:
    from headrace_workers.ray_processes import LeanNode

WORKER_RESOURCE = "worker"
DEFAULT_PORT = 6379
HEAD_OBJECT_STORE_BYTES = 200_000_000
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class HeadSettings(NodeSettings):
    """How a head listens and what it may use. Port 0 takes any free one."""

    object_store_bytes: int = HEAD_OBJECT_STORE_BYTES
    port: int = DEFAULT_PORT

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "HeadSettings":
        """Read the settings from a pod's environment; ValueError says which variable is wrong."""
        return cls(
            **node_fields(environ, HEAD_OBJECT_STORE_BYTES),
            port=whole_number(environ, environment.PORT_RAY, DEFAULT_PORT, 0),
        )


@dataclass(frozen=True)
class _Running:
    node: "LeanNode"
    settings: HeadSettings


_running: list[_Running] = []


def start_head(settings: HeadSettings) -> str:
    """Start the Ray head, connect this process to it as driver, and return its `host:port`.

    Call it from the main thread and before ray is imported: Linux ends the head's processes with
    the thread that started them, and Ray reads its switches when it is imported. The process's
    handler of SIGTERM stays what it was. OSError says that the port is taken.
    """
    if _running:
        raise RuntimeError("a Ray head already runs in this process; call stop_head first")
    require_free_port(settings.pod_ip, settings.port)
    ray_environment.prepare(settings)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    from headrace_workers.ray_processes import LeanNode

    try:
        node = LeanNode(settings, head=True, gcs_server_port=settings.port, num_cpus=0, num_gpus=0)
        _running.append(_Running(node, settings))
        atexit.register(stop_head)
        node.connect_driver()
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)
    return str(node.gcs_address)


def stop_head() -> None:
    """Disconnect this process and end the head with all its processes. Doing it twice is fine."""
    if not _running:
        return
    import ray

    running = _running.pop()
    ray.shutdown()
    running.node.kill_all_processes(check_alive=False, allow_graceful=True)
    shutil.rmtree(running.node.get_session_dir_path(), ignore_errors=True)
    ray_environment.remove_sockets(running.settings.temp, os.getpid())


def wait_for_workers(count: int, deadline_seconds: float, progress: Callable[[int], None]) -> list[str]:
    """Wait until `count` workers have joined and return their pods' names, sorted.

    `progress` hears the number of joined workers whenever it changes. TimeoutError after the
    deadline says how many came.
    """
    ends = time.monotonic() + deadline_seconds
    heard = -1
    while True:
        names = joined_workers()
        if len(names) != heard:
            heard = len(names)
            progress(heard)
        if heard >= count:
            return names
        if time.monotonic() > ends:
            raise TimeoutError(
                f"{heard} of {count} workers joined within {deadline_seconds:g} s; "
                f"look at the logs of the missing workers' pods"
            )
        time.sleep(POLL_SECONDS)


def joined_workers() -> list[str]:
    """Return the names of the worker pods whose raylets are alive, sorted."""
    return sorted(joined_workers_by_node())


def joined_workers_by_node() -> dict[str, str]:
    """Return the names of the worker pods whose raylets are alive, with Ray's names of their nodes."""
    import ray

    nodes = (node for node in ray.nodes() if node["Alive"] and node["Resources"].get(WORKER_RESOURCE))
    return {str(node["NodeName"]): str(node["NodeID"]) for node in nodes}


def require_free_port(host: str, port: int) -> None:
    """Raise OSError with the next step when something listens on `port` of `host`.

    Ray's own answer to a taken port comes after 20 s and names neither.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(
                error.errno,
                f"Ray's head cannot listen on {host}:{port} ({error.strerror}); set "
                f"{environment.PORT_RAY} to a free port of {environment.POD_IP}",
            ) from None
