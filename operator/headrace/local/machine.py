"""How much this machine has to give, and how much a pod asks for: CPUs, bytes of memory, GPUs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from headrace.api.quantity import parse_quantity
from headrace.plan.values import Raw

GPUS = "HEADRACE_LOCAL_GPUS"
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Amount:
    """An amount of what pods share."""

    cpus: float = 0.0
    memory_bytes: float = 0.0
    gpus: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(self.cpus + other.cpus, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus)

    def __sub__(self, other: "Amount") -> "Amount":
        """What is left."""
        return Amount(self.cpus - other.cpus, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus)


@dataclass(frozen=True)
class Machine:
    """What there is; GPUs by the names that CUDA_VISIBLE_DEVICES gives them."""

    cpus: float
    memory_bytes: float
    gpus: tuple[str, ...] = ()

    @property
    def amount(self) -> Amount:
        """All of it."""
        return Amount(self.cpus, self.memory_bytes, len(self.gpus))


def this_machine(environ: Mapping[str, str]) -> Machine:
    """What this process may use; no GPU unless one of the two variables names some."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(cpus, psutil.virtual_memory().total, visible_gpus(environ))


def visible_gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the GPUs that may be used; HEADRACE_LOCAL_GPUS is a number and limits them."""
    named = tuple(name.strip() for name in environ.get(VISIBLE, "").split(",") if name.strip() and name.strip() != "-1")
    if not (text := environ.get(GPUS, "").strip()):
        return named
    if not text.isdecimal():
        raise ValueError(f"{GPUS} is {text!r}; set it to the number of GPUs that local mode may use, such as 1")
    return named[: int(text)] if named else tuple(str(index) for index in range(int(text)))


def requested(container: Raw, gpu_resource: str) -> Amount:
    """What a pod's container asks for; a limit counts where there is no request, as in Kubernetes."""
    resources = container.get("resources", {})
    asked = {**resources.get("limits", {}), **resources.get("requests", {})}
    cpus, memory, gpus = (parse_quantity(str(asked.get(name, "0"))) for name in ("cpu", "memory", gpu_resource))
    return Amount(cpus, memory, int(gpus))
