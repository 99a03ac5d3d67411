"""What the tests of local mode build on: a small machine, a job, and pods that are a line of Python."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from headrace.api.objects import HeadraceObject, parse_object
from headrace.local import LocalCluster
from headrace.local.machine import Machine
from headrace.local.processes import STATE
from headrace.plan import labels
from headrace.plan.values import Create, Observed, Pod, PodPhase, Settings

SMALL = Machine(cpus=2, memory_bytes=8 * 2**30)


def job(name: str = "digits", **spec: Any) -> HeadraceObject:
    """A TrainJob."""
    given = {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1, **spec}
    return parse_object(
        {"apiVersion": "headrace.dev/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}, "spec": given}
    )


def owned(observed: Observed, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """A child's manifest."""
    owner = observed.object
    reference = {
        "apiVersion": "headrace.dev/v1alpha1",
        "kind": str(owner.key.kind),
        "name": owner.key.name,
        "uid": owner.metadata.uid,
    }
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": owner.key.namespace, "ownerReferences": [reference]},
        **fields,
    }


def pod_spec(
    script: str = "import time; time.sleep(60)",
    *,
    cpu: str = "100m",
    env: dict[str, Any] | None = None,
    ports: tuple[str, ...] = (),
    grace: int = 2,
    **more: Any,
) -> dict[str, Any]:
    """The spec of a pod that runs a line of Python."""
    container = {
        "name": "main", "command": ["python", "-c", script], "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}},
        "env": [{"name": key, **(value if isinstance(value, dict) else {"value": value})} for key, value in (env or {}).items()],
        "ports": [{"name": name, "containerPort": 8000 + place} for place, name in enumerate(ports)],
    }  # fmt: skip
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": grace, **more}
    return {**spec, "containers": [container | spec.pop("container", {})]}


def pod(
    observed: Observed,
    name: str,
    script: str = "import time; time.sleep(60)",
    *,
    role: str = "head",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A pod's manifest."""
    manifest = owned(observed, "Pod", name, spec=pod_spec(script, **spec))
    manifest["metadata"]["labels"] = {labels.ROLE: role, labels.RUN: "1", labels.ATTEMPT: "1"}
    manifest["metadata"]["annotations"] = annotations or {}
    return manifest


@dataclass(frozen=True)
class World:
    """An open cluster with one job in it."""

    cluster: LocalCluster
    state_dir: Path
    resource: HeadraceObject

    async def observe(self) -> Observed:
        """The job as it is now."""
        observed = await self.cluster.observe(self.resource.key)
        assert observed is not None
        return observed

    async def make(self, *manifests: dict[str, Any]) -> None:
        """Creates children."""
        for manifest in manifests:
            await self.cluster.apply(await self.observe(), Create(manifest))

    async def pod(self, name: str) -> Pod | None:
        """A pod by its name."""
        return next((pod for pod in (await self.observe()).pods if pod.name == name), None)

    async def until_phase(self, name: str, phase: PodPhase) -> Pod:
        """Waits for a pod to be in a phase."""

        async def reached() -> Pod | None:
            pod = await self.pod(name)
            return pod if pod and pod.phase == phase else None

        return await until(reached)

    def log(self, name: str) -> str:
        """The log of a pod."""
        return "".join(path.read_text() for path in self.state_dir.glob(f"pods/**/{name}.*/log"))


async def until(fact: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Waits until the fact (a function or coroutine function) is true, and returns it."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        value = fact()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not become true within {seconds} s")


def processes_of(state_dir: Path) -> list[psutil.Process]:
    """All processes whose environment names this state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STATE) == str(state_dir.resolve()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@asynccontextmanager
async def opened(state_dir: Path, machine: Machine = SMALL, *, stop: bool = True, **spec: Any) -> AsyncIterator[World]:
    """Opens a folder with a job in it; without `stop`, pods go on running afterwards."""
    async with LocalCluster.open(state_dir, Settings(local=True), machine=machine) as cluster:
        resource = job(**spec)
        await cluster.put(resource)
        try:
            yield World(cluster, state_dir, resource)
        finally:
            if stop:
                await cluster.shutdown(0)


class Kit:
    """The builders, for test files, which cannot import each other."""

    small = SMALL
    job = staticmethod(job)
    owned = staticmethod(owned)
    pod = staticmethod(pod)
    pod_spec = staticmethod(pod_spec)
    until = staticmethod(until)
    opened = staticmethod(opened)
    processes_of = staticmethod(processes_of)


@pytest.fixture
def kit() -> type[Kit]:
    """The builders."""
    return Kit


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; afterwards no process of it may be left."""
    folder = tmp_path / "state"
    yield folder
    left = processes_of(folder)
    for process in left:
        process.kill()
    assert not left, f"left behind: {left}"


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
