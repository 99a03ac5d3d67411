"""Say how a pod's Ray processes run, and set the environment that they start in.

Ray reads its switches from the environment when its C++ part loads, so this module never imports
ray, and `prepare` must run before the first import of ray in a process. A switch that the pod's
own environment already sets is left alone; authentication is not: it follows the token.
"""

import ipaddress
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.api import environment

OBJECT_STORE_BYTES = "HEADRACE_OBJECT_STORE_BYTES"
RAY_TEMP = "HEADRACE_RAY_TEMP"
RAY_RUNTIME_ENV = "HEADRACE_RAY_RUNTIME_ENV"

SWITCHES: Mapping[str, str] = {
    # No report leaves the cluster.
    "RAY_USAGE_STATS_ENABLED": "0",
    # What a task prints belongs in its pod's log. With files instead, every node needs a log
    # monitor (90 MB, 1.5 s) that reads them back.
    "RAY_LOG_TO_STDERR": "1",
    # ... and Ray's own C++ lines at level INFO would drown it.
    "RAY_BACKEND_LOG_LEVEL": "error",
    # A raylet whose head is gone ends itself after this long. At Ray's 60 s, the workers of a
    # lost attempt would hold their GPUs while the next attempt waits for them.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    # A worker that was killed counts as lost after five of these; at Ray's 3 s that takes 15 s.
    # A busy one is not lost sooner: an answer may still take 10 s.
    "RAY_health_check_period_ms": "1000",
    # Ray would start a process for each CPU (80 MB, 1 s) before anyone asks for one.
    "RAY_prestart_worker_first_driver": "0",
    # Ray gives tasks a nice value of 15. A pod's share of a machine is Kubernetes' to set; beside
    # other work on a laptop, training at 15 gets a thirtieth of a core.
    "RAY_worker_niceness": "0",
    # The lighthouse of an elastic group tells of each request, and torch of each group that it makes.
    "RUST_LOG": "warn",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # Task events feed Ray's dashboard, which does not run here.
    "RAY_task_events_report_interval_ms": "0",
    # Ray's coming default: a task without GPUs keeps CUDA_VISIBLE_DEVICES as the pod has it.
    # Setting it now also ends the warning about it.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Ray refuses less than 75 MiB.
OBJECT_STORE_MINIMUM_BYTES = 80_000_000

# Sockets of the Unix domain have 108 bytes for their path, the final zero byte included.
SOCKET_PATH_BYTES = 107


def default_temp() -> Path:
    """Return the folder for sessions and sockets: short, because socket paths are."""
    return Path(f"/tmp/headrace-ray-{os.getuid()}")  # noqa: S108


@dataclass(frozen=True)
class NodeSettings:
    """What the Ray node of every pod of a run needs, head or worker."""

    pod_ip: str = "127.0.0.1"
    pod_name: str = "pod"
    token: str = field(default="", repr=False)
    temp: Path = field(default_factory=default_temp)
    object_store_bytes: int = OBJECT_STORE_MINIMUM_BYTES
    runtime_environments: bool = False

    def __post_init__(self) -> None:
        if not self.token and not ipaddress.ip_address(self.pod_ip).is_loopback:
            raise ValueError(
                f"{environment.TOKEN} is empty and other hosts can reach {environment.POD_IP} "
                f"{self.pod_ip}, so they could run code here; set {environment.TOKEN}"
            )


def node_fields(environ: Mapping[str, str], object_store_bytes: int) -> dict[str, Any]:
    """Read the fields of NodeSettings from a pod's environment.

    ValueError says which variable is wrong.
    """
    return {
        "pod_ip": environ.get(environment.POD_IP, NodeSettings.pod_ip),
        "pod_name": environ.get(environment.POD_NAME, NodeSettings.pod_name),
        "token": environ.get(environment.TOKEN, ""),
        "temp": Path(environ.get(RAY_TEMP) or default_temp()),
        "object_store_bytes": whole_number(environ, OBJECT_STORE_BYTES, object_store_bytes, OBJECT_STORE_MINIMUM_BYTES),
        "runtime_environments": environ.get(RAY_RUNTIME_ENV) == "1",
    }


def whole_number(environ: Mapping[str, str], name: str, default: int, minimum: int) -> int:
    """Return the integer in variable `name`, or `default` where it is absent or empty."""
    text = environ.get(name, "") or str(default)
    if not text.isdecimal() or int(text) < minimum:
        raise ValueError(f"{name} is {text!r}; set it to a whole number of at least {minimum}")
    return int(text)


def prepare(settings: NodeSettings) -> None:
    """Make this process's environment and the node's folder ready for Ray.

    RuntimeError where ray is imported already and would not notice: it would start without the
    token and then wait 20 s for itself.
    """
    changes = {name: value for name, value in SWITCHES.items() if name not in os.environ}
    changes |= authentication(settings.token)
    if "ray" in sys.modules and any(os.environ.get(name) != changes[name] for name in changes):
        raise RuntimeError(
            "ray was imported before its environment was set; start the head before anything imports ray"
        )
    make_private(settings.temp)
    os.environ.update(changes)
    cache_bytecode(settings.temp / "pycache")


def authentication(token: str) -> dict[str, str]:
    """Return the variables that make Ray demand `token`, or nothing where it is empty."""
    if not token:
        return {"RAY_AUTH_MODE": "disabled"}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def cache_bytecode(folder: Path) -> None:
    """Keep compiled modules in `folder` where the environment forbids keeping them in place.

    An installation without bytecode compiles 700 modules in each process that imports ray: 2.1 s
    instead of 0.9 s. PYTHONDONTWRITEBYTECODE asks that installed packages stay as they are; a
    folder of our own respects that.
    """
    if not os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        return
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(folder))
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"]


def make_private(folder: Path) -> None:
    """Make `folder` ours alone: who can write in it can run code in this process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(
            f"Ray's folder {folder} belongs to another user or is a link; set {RAY_TEMP} to a folder of your own"
        )
    folder.chmod(0o700)


def sessions(temp: Path) -> Path:
    """Return the folder that Ray gets: inside ours, because Ray opens what it gets to everyone."""
    return temp / "ray"


def socket_path(temp: Path, role: str) -> str:
    """Return the path of this process's `role` socket, cleared of what an earlier process left.

    Named after the process: raylets that start at the same moment in one folder would otherwise
    all pick Ray's first free name, and all but one abort.
    """
    path = sessions(temp) / f"{os.getpid()}.{role}"
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise ValueError(
            f"socket path {path} is longer than {SOCKET_PATH_BYTES} bytes; set {RAY_TEMP} to a shorter folder"
        )
    path.unlink(missing_ok=True)
    return str(path)


def remove_sockets(temp: Path, process: int) -> None:
    """Remove the socket files that `process` made; none is fine."""
    for path in sessions(temp).glob(f"{process}.*"):
        path.unlink(missing_ok=True)
