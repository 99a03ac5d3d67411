"""Network namespaces joined by a bridge whose links are slow: what a worker sends can be limited and counted.

Needs root, `ip` and `tc` with tbf. Everything it makes is gone afterwards.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

BRIDGE = "hrbench0"
DEVICE = "eth0"
SUBNET = "10.77.0"
LEADER = f"{SUBNET}.1"
WATCHER = f"{SUBNET}.254"
"""This machine's own address there."""


def namespace(rank: int) -> str:
    """The name of a rank's network namespace."""
    return f"hrbench-{rank}"


@contextmanager
def slow_network(ranks: int, mbits: int) -> Iterator[None]:
    """A network of so many ranks, each at SUBNET.(rank + 1), whose links carry so many Mbit/s in both directions; 0: as fast as they go."""
    _remove(ranks)
    try:
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{WATCHER}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for rank in range(ranks):
            name, outside = namespace(rank), f"hrbench-v{rank}"
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", DEVICE, "netns", name)
            _run("ip", "link", "set", outside, "master", BRIDGE, "up")
            _run("ip", "-n", name, "address", "add", f"{SUBNET}.{rank + 1}/24", "dev", DEVICE)
            for device in (DEVICE, "lo"):
                _run("ip", "-n", name, "link", "set", device, "up")
            if mbits:
                limit = ("root", "tbf", "rate", f"{mbits}mbit", "burst", "64kb", "latency", "100ms")
                _run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", DEVICE, *limit)
                _run("tc", "qdisc", "add", "dev", outside, *limit)
        yield
    finally:
        _remove(ranks)


def _remove(ranks: int) -> None:
    for rank in range(ranks):
        subprocess.run(["ip", "netns", "delete", namespace(rank)], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()}; this benchmark needs root and iproute2")


def cut(rank: int, *, off: bool) -> None:
    """Takes a rank off the network, or puts it back."""
    _run("ip", "link", "set", f"hrbench-v{rank}", "down" if off else "up")
