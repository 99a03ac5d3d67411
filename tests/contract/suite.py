"""What the loop relies on in every world. Each test is a function of an open world; the actions are the planner's own."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.api.status import Phase
from headrace.cluster import ChildrenRefused, Conflict
from headrace.plan import labels
from headrace.plan.plan import plan
from headrace.plan.values import Apply, Create, Delete, DeleteSelf, Observed, Refusal
from tests import gen
from tests.contract.worlds import World, observed

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def placed(resource: HeadraceObject, world: World) -> HeadraceObject:
    """The object in the world's namespace, as a user writes it."""
    metadata = resource.metadata.model_copy(update={"namespace": world.namespace, "uid": ""})
    return resource.model_copy(update={"metadata": metadata})


async def put(world: World, resource: HeadraceObject) -> ObjectKey:
    """Puts an object; returns its key."""
    mine = placed(resource, world)
    await world.put(mine)
    return mine.key


async def started(world: World) -> tuple[ObjectKey, Observed]:
    """A pipeline whose start is saved, so that its next plan makes its children."""
    key = await put(world, gen.pipeline())
    seen = await observed(world, key)
    await world.cluster.save_status(seen, plan(seen, NOW).status)
    return key, await observed(world, key)


async def nothing_is_seen_of_what_is_not_there(world: World) -> None:
    """None, and not an error."""
    await world.refresh()
    assert await world.cluster.observe(ObjectKey(Kind.TRAIN_JOB, world.namespace, "nobody")) is None


async def a_status_that_is_saved_is_seen(world: World) -> None:
    """As it was saved, at a newer version of the same generation."""
    key = await put(world, gen.pipeline())
    before = await observed(world, key)
    status = before.object.status.model_copy(update={"run": 3, "phase": Phase.RUNNING, "dataset": DatasetVersion(uri="file:///t", version=1, digest="d")})  # fmt: skip
    await world.cluster.save_status(before, status)
    after = await observed(world, key)
    assert after.object.status == status
    assert after.object.metadata.generation == before.object.metadata.generation
    assert after.object.metadata.resource_version != before.object.metadata.resource_version


async def an_equal_status_is_not_written(world: World) -> None:
    """The version stays."""
    key = await put(world, gen.pipeline())
    before = await observed(world, key)
    await world.cluster.save_status(before, before.object.status)
    assert (await observed(world, key)).object == before.object


async def an_object_that_changed_is_a_conflict(world: World) -> None:
    """Whether there is something to write or not; nothing is written."""
    key = await put(world, gen.pipeline())
    old = await observed(world, key)
    await world.put(placed(gen.pipeline(suspend=True), world))
    await world.refresh()
    for status in (old.object.status, old.object.status.model_copy(update={"run": 9})):
        with pytest.raises(Conflict):
            await world.cluster.save_status(old, status)
    seen = await observed(world, key)
    assert (seen.object.spec.suspend, seen.object.status.run) == (True, 0)


async def an_object_that_is_gone_is_a_conflict(world: World) -> None:
    """And then nothing is seen of it."""
    key = await put(world, gen.pipeline())
    old = await observed(world, key)
    await world.remove(key)
    with pytest.raises(Conflict):
        await world.cluster.save_status(old, old.object.status.model_copy(update={"run": 9}))
    await world.refresh()
    assert await world.cluster.observe(key) is None


async def children_are_made_once(world: World) -> None:
    """Making what is there is success and changes nothing; the planner then has nothing more to make."""
    key, before = await started(world)
    creates = [action for action in plan(before, NOW).actions if isinstance(action, Create)]
    for action in creates:
        await world.cluster.apply(before, action)
    first = await observed(world, key)
    await world.cluster.apply_together(before, tuple(creates))
    again = await observed(world, key)
    wanted = {(action.manifest["kind"], action.manifest["metadata"]["name"]) for action in creates}
    seen = {("Pod", pod.name) for pod in again.pods} | {
        (child["kind"], child["metadata"]["name"]) for child in again.children
    }
    assert seen == wanted
    assert [pod.uid for pod in again.pods] == [pod.uid for pod in first.pods]
    assert not [action for action in plan(again, NOW).actions if isinstance(action, Create)]


async def no_secret_is_shown(world: World) -> None:
    """A Secret is seen to be there; what is in it is not."""
    key, before = await started(world)
    for action in plan(before, NOW).actions:
        await world.cluster.apply(before, action)
    secrets = [child for child in (await observed(world, key)).children if child["kind"] == "Secret"]
    assert secrets and not any({"data", "stringData"} & child.keys() for child in secrets)


async def a_child_of_another_attempt_is_in_the_way(world: World) -> None:
    """It is neither taken for the wanted one nor replaced."""
    key, before = await started(world)
    create = next(
        action
        for action in plan(before, NOW).actions
        if isinstance(action, Create) and action.manifest["kind"] == "Pod"
    )
    await world.cluster.apply(before, create)
    metadata = create.manifest["metadata"]
    other = {**create.manifest, "metadata": {**metadata, "labels": {**metadata["labels"], labels.ATTEMPT: "2"}}}
    with pytest.raises(Exception, match="already"):
        await world.cluster.apply(before, Create(other))
    (pod,) = (await observed(world, key)).pods
    assert pod.labels[labels.ATTEMPT] == "1"


async def who_is_refused_is_named(world: World) -> None:
    """All of those that were asked for together, each with a reason in one word and the world's own sentence."""
    _, before = await started(world)
    creates = tuple(action for action in plan(before, NOW).actions if isinstance(action, Create))
    pods = tuple(action for action in creates if action.manifest["kind"] == "Pod")
    for action in creates:
        if action not in pods:
            await world.cluster.apply(before, action)
    async with world.refusing_pods():
        with pytest.raises(ChildrenRefused) as refused:
            await world.cluster.apply_together(before, pods)
    refusals = sorted(refused.value.refusals, key=lambda refusal: refusal.name)
    names = sorted(action.manifest["metadata"]["name"] for action in pods)
    assert [(refusal.kind, refusal.name) for refusal in refusals] == [("Pod", name) for name in names]
    assert all(re.fullmatch("[A-Z][A-Za-z0-9]*", refusal.reason) and refusal.message for refusal in refusals)


async def what_was_refused_is_seen_until_the_next_plan_was_acted_on(world: World) -> None:
    """By its owner alone."""
    key, before = await started(world)
    other = await put(world, gen.pipeline("other"))
    refusal = Refusal("Pod", "p", "QuotaExceeded", "exceeded quota")
    world.cluster.note_refusals(before, (refusal,))
    assert (await observed(world, key)).refusals == (refusal,)
    assert (await observed(world, other)).refusals == ()
    world.cluster.note_refusals(before, ())
    assert (await observed(world, key)).refusals == ()


async def only_what_is_meant_is_deleted(world: World) -> None:
    """A UID that is not the child's deletes nothing; deleting twice is success."""
    key, before = await started(world)
    for action in plan(before, NOW).actions:
        await world.cluster.apply(before, action)
    seen = await observed(world, key)
    pod = seen.pods[0]
    child = next(each for each in seen.children if each["kind"] == "ConfigMap")
    for kind, name in (("Pod", pod.name), ("ConfigMap", child["metadata"]["name"])):
        await world.cluster.apply(seen, Delete(kind, name, "somebody-else"))
    untouched = await observed(world, key)
    assert (untouched.pods, len(untouched.children)) == (seen.pods, len(seen.children))
    for _ in range(2):
        await world.cluster.apply(seen, Delete("Pod", pod.name, pod.uid, 0))
        await world.cluster.apply(seen, Delete("ConfigMap", child["metadata"]["name"], child["metadata"]["uid"]))
    left = await observed(world, key)
    assert all(each.deleting for each in left.pods if each.name == pod.name)
    assert not [each for each in left.children if each["kind"] == "ConfigMap"]


async def what_is_applied_is_seen_with_its_digest(world: World) -> None:
    """Applied again it is the same; changed, it is changed; its UID stays."""
    key = await put(world, gen.endpoint())
    seen = await observed(world, key)
    status = seen.object.status.model_copy(update={"stable": gen.model()})
    await world.cluster.save_status(seen, status)
    seen = await observed(world, key)
    applies = [action for action in plan(seen, NOW).actions if isinstance(action, Apply)]
    for action in applies:
        await world.cluster.apply(seen, action)
    service = applies[[action.manifest["kind"] for action in applies].index("Service")].manifest
    first = (await observed(world, key)).child("Service", service["metadata"]["name"])
    assert (
        first is not None
        and first["metadata"]["annotations"][labels.HASH] == service["metadata"]["annotations"][labels.HASH]
    )
    changed = {**service, "metadata": {**service["metadata"], "annotations": {labels.HASH: "another"}}}
    await world.cluster.apply(seen, Apply(changed))
    second = (await observed(world, key)).child("Service", service["metadata"]["name"])
    assert second is not None and second["metadata"]["annotations"][labels.HASH] == "another"
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


async def an_object_deletes_itself_once(world: World) -> None:
    """With its UID alone, and again without an error."""
    key = await put(world, gen.pipeline())
    seen = await observed(world, key)
    await world.cluster.apply(seen, DeleteSelf("somebody-else"))
    assert await observed(world, key)
    for _ in range(2):
        await world.cluster.apply(seen, DeleteSelf(seen.object.metadata.uid))
    await world.refresh()
    assert await world.cluster.observe(key) is None


async def related_objects_come_with_it(world: World) -> None:
    """A job sees its pipeline and whose weights it starts with, an endpoint the jobs that offer to it."""
    pipeline = await put(world, gen.pipeline())
    job = await put(world, gen.train_job(rollout={"endpoint": "digits"}))
    endpoint = await put(world, gen.endpoint())
    assert set((await observed(world, job)).related) == {pipeline}
    assert set((await observed(world, endpoint)).related) == {job}
    tuned = await put(world, gen.train_job("tuned", model={"from": {"job": "train"}}))
    served = await put(world, gen.train_job("served", model={"from": {"endpoint": "digits"}}))
    assert set((await observed(world, tuned)).related) == {pipeline, job}
    assert set((await observed(world, served)).related) == {pipeline, endpoint}
    assert not (await observed(world, pipeline)).related


async def every_key_is_told_at_the_start(world: World) -> None:
    """Once each."""
    keys = {await put(world, gen.pipeline()), await put(world, gen.train_job())}
    await world.refresh()
    watch = world.cluster.watch()
    assert {await anext(watch), await anext(watch)} == keys
    await watch.aclose()


Contract = Callable[[World], Awaitable[None]]
CONTRACT: tuple[Contract, ...] = (
    nothing_is_seen_of_what_is_not_there,
    a_status_that_is_saved_is_seen,
    an_equal_status_is_not_written,
    an_object_that_changed_is_a_conflict,
    an_object_that_is_gone_is_a_conflict,
    children_are_made_once,
    no_secret_is_shown,
    a_child_of_another_attempt_is_in_the_way,
    who_is_refused_is_named,
    what_was_refused_is_seen_until_the_next_plan_was_acted_on,
    only_what_is_meant_is_deleted,
    what_is_applied_is_seen_with_its_digest,
    an_object_deletes_itself_once,
    related_objects_come_with_it,
    every_key_is_told_at_the_start,
)
