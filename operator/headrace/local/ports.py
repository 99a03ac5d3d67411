"""The loopback ports of pods: chosen when the pod is made, kept as long as it is there, checked when it starts."""

import socket
import zlib
from collections.abc import Collection, Mapping

from headrace.local.pods import LOOPBACK
from headrace.local.refusals import CannotStart
from headrace.plan.values import Raw

# Below the ports that systems hand out for outgoing connections (from 32768 on Linux), above those that Ray's workers take.
FIRST_PORT = 20_000
LAST_PORT = 32_000


def choose(pod_name: str, container: Raw, fixed: int | None, taken: Collection[int]) -> dict[str, int]:
    """A port for each named container port: `fixed` for `http`, a free one for the others."""
    chosen: dict[str, int] = {}
    for port in container.get("ports", ()):
        name = port.get("name")
        if name == "http" and fixed is not None:
            chosen[name] = fixed
        elif name:
            chosen[name] = _free_port(f"{pod_name}/{name}", {*taken, *chosen.values()})
    return chosen


def _free_port(seed: str, taken: Collection[int]) -> int:
    span = LAST_PORT - FIRST_PORT
    start = zlib.crc32(seed.encode()) % span
    for step in range(span):
        port = FIRST_PORT + (start + step) % span
        if port not in taken and is_free(port):
            return port
    raise CannotStart(
        "NoFreePort", f"finds no free port between {FIRST_PORT} and {LAST_PORT}; stop programs that listen there"
    )


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(ports: Mapping[str, int]) -> None:
    """CannotStart names the first port that another program has."""
    for _, port in sorted(ports.items()):
        if not is_free(port):
            raise CannotStart(
                "PortInUse", f"{LOOPBACK}:{port} is in use by another program; stop it or set spec.localPort"
            )
