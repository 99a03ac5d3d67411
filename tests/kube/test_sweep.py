"""The sweep: mends what a watch missed, tells a stale watch and a server that does not answer, trusts what is newer."""

import pytest

from headrace.api.meta import API_VERSION
from headrace.cluster import Unavailable
from headrace.kube.client import NotFound, Refused
from headrace.kube.cluster import KubeCluster
from headrace.kube.resources import BY_KIND
from headrace.kube.sweep import BLIND_SECONDS, Sweep
from headrace.plan.values import Settings
from tests.kube.fake_api import FakeApi
from tests.kube.test_cluster import JOB, SPEC

JOBS = BY_KIND["TrainJob"]
BODY = {
    "apiVersion": API_VERSION,
    "kind": "TrainJob",
    "metadata": {"name": "digits", "namespace": "default"},
    "spec": SPEC,
}


class World:
    def __init__(self) -> None:
        self.api, self.now = FakeApi(), 0.0
        self.cluster = KubeCluster(self.api, Settings(), b"", lambda: True)
        self.sweep = Sweep(self.api, self.cluster, clock=lambda: self.now)

    async def change(self, **spec):
        path = JOBS.path("default", "digits")
        return await self.api.update(path, {**self.api.objects[path], "spec": {**SPEC, **spec}})

    async def epochs(self):
        observed = await self.cluster.observe(JOB)
        return observed.object.spec.epochs if observed else None


@pytest.fixture
async def world():
    made = World()
    await made.api.create(JOBS.path("default"), BODY)
    return made


async def test_the_first_sweep_sees_everything(world):
    """Before it nothing is known, and the operator is not ready."""
    assert (world.sweep.done_once, await world.epochs()) == (False, None)
    await world.sweep.once()
    assert (world.sweep.done_once, await world.epochs(), world.sweep.troubles()) == (True, 1, [])


async def test_a_silent_watch_is_told_and_mended(world):
    """A change that no watch tells between two sweeps is fetched; the trouble ends once the watch tells something again."""
    await world.sweep.once()
    raw = await world.change(epochs=5)
    await world.sweep.once()
    assert (await world.epochs(), world.sweep.troubles()) == (1, [])
    await world.sweep.once()
    assert await world.epochs() == 5
    assert "the watch of trainjobs is stale" in world.sweep.troubles()[0]
    await world.sweep.once()
    assert world.sweep.troubles()
    world.sweep.hearing(world.cluster.saw)({**raw, "kind": "TrainJob"})
    assert world.sweep.troubles() == []


async def test_a_stale_watch_is_not_waited_for(world):
    """What it has missed is fetched by every sweep, until it tells something or there is nothing to tell of."""
    await world.sweep.once()
    await world.change(epochs=5)
    await world.sweep.once()
    await world.sweep.look_again()
    assert await world.epochs() == 5
    await world.change(epochs=6)
    await world.sweep.once()
    assert await world.epochs() == 6
    world.api.objects.clear()
    await world.sweep.once()
    assert world.sweep.troubles() == []


async def test_a_watch_that_tells_late_is_no_trouble(world):
    """What arrives between two sweeps needs no help."""
    await world.sweep.once()
    raw = await world.change(epochs=5)
    await world.sweep.once()
    world.cluster.saw({**raw, "kind": "TrainJob"})
    await world.sweep.once()
    assert (await world.epochs(), world.sweep.troubles()) == (5, [])


async def test_what_is_gone_is_forgotten(world):
    """A deletion that no watch told of."""
    await world.sweep.once()
    world.api.objects.clear()
    await world.sweep.once()
    assert await world.epochs() is None


async def test_what_was_made_after_the_list_is_kept(world):
    """A list that was taken before an object was written says nothing about it."""
    await world.sweep.once()
    listed = world.api.list

    async def before(resource, namespace, **options):
        listing = await listed(resource, namespace, **options)
        if resource is JOBS:
            made = await world.api.create(
                JOBS.path("default"), {**BODY, "metadata": {**BODY["metadata"], "name": "new"}}
            )
            world.cluster.saw({**made, "kind": "TrainJob"})
        return listing

    world.api.list = before
    await world.sweep.once()
    assert {entry.place[2] for entry in world.cluster.entries()} == {"digits", "new"}


async def test_a_new_leader_does_not_wait_for_watches(world):
    """What the last one wrote is fetched at once."""
    await world.sweep.once()
    await world.change(epochs=7)
    await world.sweep.once(at_once=True)
    assert (await world.epochs(), world.sweep.troubles()) == (7, [])


async def test_blindness_is_told(world):
    """After so long without an answer the operator says that it sees nothing."""
    await world.sweep.once()
    world.api.failure = Unavailable("no answer")
    world.now += BLIND_SECONDS + 1
    with pytest.raises(Unavailable):
        await world.sweep.once()
    assert "the API server has not answered for 76 s" in world.sweep.troubles()[0]


def listed(world):
    """The groups of the PodGroups that were listed."""
    return {path.split("/")[2] for verb, path in world.api.requests if verb == "list" and path.endswith("/podgroups")}


async def test_pod_groups_are_swept_where_they_are_used(world):
    """Nobody else is asked for them; one that somebody deleted is forgotten, and those of another API are kept."""
    await world.sweep.once()
    assert listed(world) == set()
    await world.change(gang={"kubernetes": {}})
    for group in ("scheduling.k8s.io/v1alpha2", "scheduling.x-k8s.io/v1alpha1"):
        body = {"apiVersion": group, "kind": "PodGroup", "metadata": {"name": group[11], "namespace": "default"}}
        world.cluster.saw(await world.api.create(f"/apis/{group}/namespaces/default/podgroups", body))
    await world.sweep.once()
    assert listed(world) == {"scheduling.k8s.io", "scheduling.x-k8s.io"}
    del world.api.objects["/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups/k"]
    await world.sweep.once()
    assert [entry.place[2] for entry in world.cluster.entries() if entry.place[0] == "PodGroup"] == ["x"]


@pytest.mark.parametrize("refusal", [NotFound(404, "", "404 page not found"), Refused(403, "Forbidden", "no right")])
async def test_pod_groups_that_cannot_be_listed_are_no_trouble(world, refusal):
    """One user's wish for an API that is not there does not blind the operator."""
    await world.change(gang={"kubernetes": {}})
    served = world.api.list

    async def answer(resource, namespace, **options):
        if resource.plural == "podgroups":
            raise refusal
        return await served(resource, namespace, **options)

    world.api.list = answer
    await world.sweep.once()
    await world.sweep.once()
    assert (world.sweep.done_once, world.sweep.troubles()) == (True, [])
