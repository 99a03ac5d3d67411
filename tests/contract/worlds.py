"""The worlds that the contract holds for: the simulated one, local mode, an API server in memory, and a real one."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cluster import Cluster
from headrace.kube import Api, KubeCluster, Sweep, connect
from headrace.kube.client import Refused
from headrace.kube.resources import BY_KIND, POD
from headrace.local import LocalCluster
from headrace.local.machine import Machine
from headrace.local.refusals import CannotStart
from headrace.plan.values import Observed, Settings
from tests.kube.fake_api import FakeApi
from tests.simulation.cluster import SimulatedCluster
from tests.simulation.faults import CALM, Faults
from tests.simulation.world import World as SimulatedWorld

Raw = dict[str, Any]
ENFORCED_LOOKS = 100


class World(Protocol):
    """A port, and a user's hands on the other side of it."""

    cluster: Cluster
    namespace: str

    async def put(self, resource: HeadraceObject) -> None:
        """Creates an object, or edits its spec."""
        ...

    async def remove(self, key: ObjectKey) -> None:
        """Deletes an object."""
        ...

    async def refresh(self) -> None:
        """Has the port know what there is."""
        ...

    def refusing_pods(self) -> AbstractAsyncContextManager[None]:
        """Has no pod be taken meanwhile."""
        ...


async def observed(world: World, key: ObjectKey) -> Observed:
    """What the port sees of an object that is there."""
    await world.refresh()
    found = await world.cluster.observe(key)
    assert found is not None, f"{key} is not seen"
    return found


@dataclass
class Simulated:
    cluster: Cluster
    world: SimulatedWorld
    namespace: str = "default"

    async def put(self, resource: HeadraceObject) -> None:
        there = self.world.store.objects.get(resource.key)
        if there is None:
            self.world.store.add_object(resource, self.world.now)
        else:
            self.world.store.replace_spec(there, resource.spec)

    async def remove(self, key: ObjectKey) -> None:
        self.world.store.remove_object(key)

    async def refresh(self) -> None:
        """Its reads are never stale when it is calm."""

    @asynccontextmanager
    async def refusing_pods(self) -> AsyncIterator[None]:
        self.world.faults = Faults(refused=1.0)
        yield
        self.world.faults = CALM


@dataclass
class Local:
    cluster: LocalCluster
    namespace: str = "default"

    async def put(self, resource: HeadraceObject) -> None:
        await self.cluster.put(resource)

    async def remove(self, key: ObjectKey) -> None:
        await self.cluster.delete(key)

    async def refresh(self) -> None:
        """Its memory is the truth."""

    @asynccontextmanager
    async def refusing_pods(self) -> AsyncIterator[None]:
        none_free = CannotStart("NoFreePort", "finds no free port")
        with mock.patch("headrace.local.children.ports.choose", side_effect=none_free):
            yield


@dataclass
class Kube:
    cluster: KubeCluster
    api: Api | FakeApi
    sweep: Sweep
    namespace: str

    async def put(self, resource: HeadraceObject) -> None:
        kind = BY_KIND[resource.kind]
        found = (await self.api.list(kind, self.namespace, name=resource.metadata.name)).items
        spec = resource.wire()["spec"]
        if found:
            path = kind.path(self.namespace, resource.metadata.name)
            await self.api.update(path, {**found[0], "spec": spec})
            return
        metadata = {"name": resource.metadata.name, "namespace": self.namespace}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
        await self.api.create(kind.path(self.namespace), body)

    async def remove(self, key: ObjectKey) -> None:
        kind = BY_KIND[str(key.kind)]
        (found,) = (await self.api.list(kind, self.namespace, name=key.name)).items
        await self.api.delete(kind.path(self.namespace, key.name), found["metadata"]["uid"])

    async def refresh(self) -> None:
        await self.sweep.once(at_once=True)

    @asynccontextmanager
    async def refusing_pods(self) -> AsyncIterator[None]:
        if isinstance(self.api, FakeApi):
            self.api.refusals["pods"] = Refused(403, "Forbidden", "exceeded quota: none")
            yield
            self.api.refusals.clear()
            return
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}},
        }
        made = await self.api.create(path, quota)
        await self._until_enforced(self.api)
        yield
        await self.api.delete(f"{path}/none", made["metadata"]["uid"])

    async def _until_enforced(self, api: Api) -> None:
        """Waits until the API server, which hears of a quota after it has taken it, refuses a pod for it."""
        pod: Raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {"containers": [{"name": "main", "image": "none"}]}}  # fmt: skip
        for _ in range(ENFORCED_LOOKS):
            try:
                await api._request("create", "POST", POD.path(self.namespace), {"dryRun": "All"}, pod)
            except Refused as refused:
                if "exceeded quota" in refused.message:
                    return
            await asyncio.sleep(0.1)
        raise AssertionError("the quota is not enforced")


@asynccontextmanager
async def simulated(_: Path) -> AsyncIterator[World]:
    """A simulated world without faults, and without its checkers: they hold the planner to its laws, not the port."""
    world = SimulatedWorld(seed=0, rng=random.Random(0))
    with mock.patch("tests.simulation.cluster.checkers"):
        yield Simulated(SimulatedCluster(world), world)


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[World]:
    """Local mode on a machine on which no pod fits, so that none becomes a process."""
    machine = Machine(cpus=0, memory_bytes=0)
    settings = Settings(storage_root=f"file://{folder}/storage")
    async with LocalCluster.open(folder / "state", settings, machine=machine) as cluster:
        yield Local(cluster)


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[World]:
    """The port on Kubernetes, with an API server in memory."""
    yield _kube(FakeApi(), "default")


@asynccontextmanager
async def on_a_server(_: Path) -> AsyncIterator[World]:
    """The port on Kubernetes, with the real API server of KUBECONFIG, in a namespace of its own."""
    api = await connect()
    name = f"contract-{uuid.uuid4().hex[:8]}"
    try:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        made = await api.create("/api/v1/namespaces", body)
        yield _kube(api, name)
        await api.delete(f"/api/v1/namespaces/{name}", made["metadata"]["uid"])
    finally:
        await api.close()


def _kube(api: Api | FakeApi, namespace: str) -> Kube:
    cluster = KubeCluster(api, Settings(), b"k" * 32, lambda: True)
    return Kube(cluster, api, Sweep(api, cluster, (namespace,)), namespace)
