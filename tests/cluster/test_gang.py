"""Gangs on real schedulers: of two runs that do not both fit one is placed whole, and the other holds nothing.

Kubernetes' own scheduler is asked where the cluster has --pod-groups, that of scheduler-plugins where it has
--coscheduling. The operator works with the chart's own rights.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.api.meta import API_VERSION, Kind
from headrace.kube import Api, connect
from headrace.kube.client import NotFound
from headrace.kube.resources import BY_KIND, POD, POD_GROUPS
from headrace.plan import labels
from tests.charts.rendering import render
from tests.cluster.conftest import Cluster
from tests.cluster.crash import SPECS, TOLERATION, start
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
JOBS = BY_KIND[str(Kind.TRAIN_JOB)]
SCHEDULERS: dict[str, Raw] = {"kubernetes": {}, "coscheduling": {"schedulerName": "coscheduling"}}
OPTIONS = {"kubernetes": "--pod-groups", "coscheduling": "--coscheduling"}
GPUS = 8
SECONDS = 60
STILL_SECONDS = 8
LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Jobs:
    """TrainJobs in a namespace, whose workers each need all GPUs of a node; there are `nodes` of them."""

    api: Api
    namespace: str
    choice: str
    nodes: int

    async def make(self, name: str, least: int, most: int) -> None:
        """A job whose gang is its head and the least number of workers."""
        spec = {
            **SPECS[Kind.TRAIN_JOB], "pods": TOLERATION | SCHEDULERS[self.choice], "gang": {self.choice: {}},
            "workers": {"min": least, "max": most, "resources": {"cpu": "1", "memory": "1Gi", "gpu": GPUS}},
        }  # fmt: skip
        body = {"apiVersion": API_VERSION, "kind": "TrainJob", "metadata": {"name": name}, "spec": spec}
        await self.api.create(JOBS.path(self.namespace), body)

    async def edit(self, name: str, spec: Raw) -> None:
        """Changes a job's spec."""
        patch = {"Content-Type": "application/merge-patch+json"}
        await self.api._request("patch", "PATCH", JOBS.path(self.namespace, name), None, {"spec": spec}, patch)

    async def delete(self, path: str) -> None:
        """Deletes an object of the namespace."""
        found = await self.api.get(path)
        await self.api.delete(path, found["metadata"]["uid"])

    async def status(self, name: str) -> Raw:
        """A job's status."""
        return dict((await self.api.get(JOBS.path(self.namespace, name))).get("status") or {})

    async def pods(self, name: str) -> list[Raw]:
        """A job's pods."""
        return (await self.api.list(POD, self.namespace, selector=f"{labels.NAME}={name}")).items

    async def placed(self, name: str) -> tuple[int, int]:
        """How many pods of a job have a node, and how many there are."""
        pods = await self.pods(name)
        return sum(bool(pod["spec"].get("nodeName")) for pod in pods), len(pods)

    async def groups(self) -> list[str]:
        """The names of all PodGroups of the namespace."""
        found = await self.api.list(POD_GROUPS[self.choice], self.namespace)
        return sorted(group["metadata"]["name"] for group in found.items)

    async def until(self, what: str, fact: Callable[[], Any]) -> None:
        """Waits for a fact."""
        deadline = time.monotonic() + SECONDS
        while not await fact():
            pods = {name: await self.placed(name) for name in ("first", "second")}
            assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}; placed and made: {pods}"
            await asyncio.sleep(LOOK_SECONDS)

    async def until_ready(self, name: str, workers: int) -> None:
        """Waits until so many workers of a job run."""

        async def ready() -> bool:
            return (await self.status(name)).get("workers", {}).get("ready") == workers

        await self.until(f"{workers} workers of {name} run", ready)

    async def stays_without_room(self, name: str, pods: int) -> None:
        """A job's pods are all made, and for a while none of them gets a node."""

        async def made() -> bool:
            return (await self.placed(name))[1] == pods

        await self.until(f"{pods} pods of {name} are made", made)
        still = time.monotonic() + STILL_SECONDS
        while time.monotonic() < still:
            assert await self.placed(name) == (0, pods)
            await asyncio.sleep(LOOK_SECONDS)


@pytest.fixture
def served(defined: Cluster) -> set[str]:
    """The choices whose PodGroups this cluster serves."""
    found = set()
    for choice, resource in POD_GROUPS.items():
        with contextlib.suppress(AssertionError):
            defined.kubectl("get", "--raw", resource.path("default"))
            found.add(choice)
    return found


@pytest.fixture(params=SCHEDULERS)
async def jobs(
    request: pytest.FixtureRequest, defined: Cluster, served: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Jobs]:
    """An operator for a namespace of its own, where the scheduler of the choice is."""
    if request.param not in served:
        pytest.skip(f"this cluster has no such PodGroups; hack/cluster/up {OPTIONS[request.param]} has")
    async with operator(defined, request.param, tmp_path, monkeypatch) as made:
        yield made


@contextlib.asynccontextmanager
async def operator(cluster: Cluster, choice: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jobs]:
    """An operator with the chart's rights in one namespace."""
    needs_node(cluster, "kwok")
    nodes = len(cluster.get("nodes", "--selector=type=kwok")["items"])
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    api, space = await connect(), f"gang-{uuid.uuid4().hex[:8]}"
    await api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
    process = await start(granted(cluster, space, folder / "config.yaml"), space, name="headrace")
    try:
        yield Jobs(api, space, choice, nodes)
    finally:
        process.terminate()
        await process.wait()
        cluster.kubectl("delete", "namespace", space, "--wait=false")
        await api.close()


def granted(cluster: Cluster, space: str, path: Path) -> Path:
    """A kubeconfig of an account that may do what the chart grants in the namespace, and nothing else."""
    rendered = render({"watch": {"namespaces": [space]}, "rbac": {"aggregate": False}}, namespace=space)
    made = ("ServiceAccount", "Role", "RoleBinding", "Lease", "Secret")
    cluster.apply(space, yaml.safe_dump_all(raw for raw in rendered if raw["kind"] in made))
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", "headrace", "--namespace", space).strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path.write_text(yaml.safe_dump(config))
    return path


async def test_one_gang_runs_whole_and_the_other_holds_nothing(jobs: Jobs) -> None:
    """Both want all nodes but one; the second one has its turn when the first is gone, in the same attempt."""
    workers = jobs.nodes - 1
    await jobs.make("first", workers, workers)
    await jobs.until_ready("first", workers)
    await jobs.make("second", workers, workers)
    await jobs.stays_without_room("second", 1 + workers)
    assert await jobs.placed("first") == (1 + workers, 1 + workers)

    await jobs.delete(JOBS.path(jobs.namespace, "first"))
    await jobs.until_ready("second", workers)
    status = await jobs.status("second")
    assert (status["attempt"], status.get("releases", 0)) == (1, 0)
    assert len(await jobs.groups()) == 1


async def test_gangs_that_come_together_do_not_share_what_one_needs(jobs: Jobs) -> None:
    """Made at the same moment, never does each of them hold a part."""
    workers = jobs.nodes - 1
    whole = (1 + workers, 1 + workers)
    for _ in range(3):
        await asyncio.gather(*(jobs.make(name, workers, workers) for name in ("first", "second")))

        async def settled() -> bool:
            return whole in [await jobs.placed(name) for name in ("first", "second")]

        await jobs.until("one of both is placed", settled)
        placed = {name: await jobs.placed(name) for name in ("first", "second")}
        (other,) = [name for name, found in placed.items() if found != whole]
        await jobs.stays_without_room(other, 1 + workers)
        for name in ("first", "second"):
            await jobs.delete(JOBS.path(jobs.namespace, name))

        async def empty() -> bool:
            return not [pod for name in ("first", "second") for pod in await jobs.pods(name)]

        await jobs.until("all pods are gone", empty)


async def test_a_gang_takes_more_workers_than_it_needs_and_replaces_one_alone(jobs: Jobs) -> None:
    """What is above workers.min is placed one by one; the room that a scale-down leaves is enough for another gang."""
    await jobs.make("first", 1, jobs.nodes)
    await jobs.until_ready("first", jobs.nodes)
    (worker, *_) = [pod for pod in await jobs.pods("first") if pod["metadata"]["labels"][labels.ROLE] == labels.WORKER]
    await jobs.delete(POD.path(jobs.namespace, worker["metadata"]["name"]))

    async def replaced() -> bool:
        uids = [pod["metadata"]["uid"] for pod in await jobs.pods("first")]
        return worker["metadata"]["uid"] not in uids and await jobs.placed("first") == (1 + jobs.nodes, 1 + jobs.nodes)

    await jobs.until("the worker is replaced", replaced)
    await jobs.make("second", 2, 2)
    await jobs.stays_without_room("second", 3)
    await jobs.edit("first", {"workers": {"desired": jobs.nodes - 2}})
    await jobs.until_ready("second", 2)


async def test_a_waiting_gang_follows_workers_min(jobs: Jobs) -> None:
    """A gang that never fits is asked for less: another attempt has another PodGroup, and the old one is deleted."""
    await jobs.make("first", jobs.nodes + 1, jobs.nodes + 1)
    await jobs.stays_without_room("first", jobs.nodes + 2)
    (old,) = await jobs.groups()
    await jobs.edit("first", {"workers": {"min": jobs.nodes}})

    async def whole() -> bool:
        return (await jobs.status("first")).get("workers", {}).get("ready") == jobs.nodes

    await jobs.until("it runs on what there is", whole)
    status = await jobs.status("first")
    assert (status["attempt"], status.get("restarts", 0), status.get("disruptions", 0)) == (2, 0, 0)

    async def only_the_new_one() -> bool:
        return len(await jobs.groups()) == 1 and old not in await jobs.groups()

    await jobs.until("the old PodGroup is gone", only_the_new_one)


@pytest.mark.parametrize("choice", SCHEDULERS)
async def test_a_cluster_without_the_api_is_told_of(
    defined: Cluster, served: set[str], choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's condition says in one sentence what is missing and what to do, and no pod is made."""
    if choice in served:
        pytest.skip(f"this cluster has such PodGroups; hack/cluster/up without {OPTIONS[choice]} has none")
    async with operator(defined, choice, tmp_path, monkeypatch) as jobs:
        await jobs.make("first", 1, 1)

        async def told() -> bool:
            conditions = {each["type"]: each for each in (await jobs.status("first")).get("conditions", ())}
            return conditions.get("Stalled", {}).get("reason") == "NotServed"

        await jobs.until("the condition", told)
        conditions = {each["type"]: each for each in (await jobs.status("first"))["conditions"]}
        assert POD_GROUPS[choice].lacking in conditions["Refused"]["message"]
        assert await jobs.pods("first") == []
        with pytest.raises(NotFound):
            await jobs.groups()
