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
        self.seen, self.asked = seen, []

    async def observe(self, key):
        return self.seen

    async def save_status(self, seen, status):
        self.seen = replace(seen, object=seen.object.model_copy(update={"status": status}))

    async def apply_together(self, seen, actions):
        self.asked += actions

    def note_refusals(self, seen, refusals):
        self.seen = replace(self.seen, refusals=refusals)


@pytest.fixture
async def world() -> Full:
    """A run that has just been decided upon, whose first two children were refused at different times."""
    first = observed(train_job())
    started = first.object.model_copy(update={"status": plan(first, NOW).status})
    made = [
        action.manifest for action in plan(replace(first, object=started), NOW).actions if isinstance(action, Create)
    ]
    config, secret = (Refusal(each["kind"], each["metadata"]["name"], "Forbidden", "full") for each in made[:2])
    later, earlier = NOW + timedelta(seconds=9), NOW - timedelta(seconds=60)
    return Full(
        replace(first, object=started, refusals=(replace(config, ask_at=later), replace(secret, ask_at=earlier)))
    )


async def test_what_waits_for_a_refused_child_has_no_time_of_its_own(world: Full) -> None:
    """The first is asked for in nine seconds; that the second's time has come is no reason to look before that."""
    key = world.seen.object.key
    await reconcile(world, key, NOW)
    assert await reconcile(world, key, NOW) == 9.0
    assert world.asked == []
    assert {refusal.kind for refusal in world.seen.refusals} == {"ConfigMap", "Secret"}
