"""The loop's own part: when it looks again after a refusal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from headrace.plan.plan import plan
from headrace.plan.values import Create, Observed, Refusal
from headrace.reconcile import reconcile
from tests.gen import NOW, train_job
from tests.plan.test_run import observed


class Full:
    """A world that remembers what it refused and takes nothing."""

    def __init__(self, seen: Observed) -> None:
        self.seen, self.asked, self.steps = seen, [], []

    async def observe(self, key):
        return self.seen

    async def save_status(self, seen, status):
        self.seen = replace(seen, object=seen.object.model_copy(update={"status": status}))

    async def apply_together(self, seen, actions):
        self.asked += actions
        self.steps += [actions] if actions else []

    def note_refusals(self, seen, refusals):
        self.seen = replace(self.seen, refusals=refusals)


@pytest.fixture
async def world() -> Full:
    """A run that has just been decided upon, whose ConfigMap and a pod that rests on it were refused at different times."""
    first = observed(train_job())
    started = first.object.model_copy(update={"status": plan(first, NOW).status})
    made = [
        action.manifest for action in plan(replace(first, object=started), NOW).actions if isinstance(action, Create)
    ]
    config, pod = (
        Refusal(kind, next(each["metadata"]["name"] for each in made if each["kind"] == kind), "Forbidden", "full")
        for kind in ("ConfigMap", "Pod")
    )
    later, earlier = NOW + timedelta(seconds=9), NOW - timedelta(seconds=60)
    return Full(replace(first, object=started, refusals=(replace(config, ask_at=later), replace(pod, ask_at=earlier))))


async def test_what_waits_for_a_refused_child_has_no_time_of_its_own(world: Full) -> None:
    """The first is asked for in nine seconds; that the pod's time has come is no reason to look before that."""
    key = world.seen.object.key
    await reconcile(world, key, NOW)
    assert await reconcile(world, key, NOW) == 9.0
    assert {action.manifest["kind"] for action in world.asked}.isdisjoint({"ConfigMap", "Pod"})
    assert {refusal.kind for refusal in world.seen.refusals} == {"ConfigMap", "Pod"}


async def test_siblings_are_made_together_and_before_pods(world: Full) -> None:
    """What pods rest on is asked for in one step, pods in the next."""
    world.seen = replace(world.seen, refusals=())
    await reconcile(world, world.seen.object.key, NOW)
    first, second = world.steps
    assert {action.manifest["kind"] for action in first} >= {"ConfigMap", "Secret"}
    assert {action.manifest["kind"] for action in second} == {"Pod"}
