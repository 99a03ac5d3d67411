"""What a serving pod is told by its environment beyond its identity. Read once, at the start."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.api import environment
from headrace_workers.faults import RunFault

DRAIN_SECONDS = "HEADRACE_DRAIN_SECONDS"
"""How long a pod that was asked to go still accepts requests, while others learn that it is not ready."""

PROBE_SECONDS = "HEADRACE_PROBE_SECONDS"
"""After how long a probe stops by itself."""


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise RunFault(
            "InvalidSetting", f"{name} is {text!r}: write a number of seconds, such as {default:g}"
        ) from error
    if not 0 <= value <= 31_536_000:
        raise RunFault("InvalidSetting", f"{name} is {text!r}: write a number of seconds between 0 and a year")
    return value


@dataclass(frozen=True)
class Settings:
    """Durations in seconds, and where the router is (host:port; empty but for a probe)."""

    drain_seconds: float
    probe_seconds: float
    router_address: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads the variables; RunFault if one makes no sense."""
        return cls(
            drain_seconds=_seconds(environ, DRAIN_SECONDS, 1.0),
            probe_seconds=_seconds(environ, PROBE_SECONDS, 3600.0),
            router_address=environ.get(environment.ROUTER_ADDRESS, ""),
        )
