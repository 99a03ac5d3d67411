"""Events: what a person wants to see, once, by whoever may write."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from headrace.api.meta import Condition, ConditionStatus, Kind, ObjectKey
from headrace.kube.events import BOUND, Events
from tests.kube.fake_api import FakeApi

KEY = ObjectKey(Kind.TRAIN_JOB, "default", "digits")


def condition(kind="Failed", status=ConditionStatus.TRUE, reason="StorageFull", message="free space"):
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip


async def posted(*conditions, allowed=True):
    api = FakeApi()
    events = Events(api, "replica", lambda: allowed)
    for each in conditions:
        events.tell(KEY, "u1", each)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(events.run(), 0.05)
    return list(api.objects.values())


async def test_an_event_says_what_the_condition_says():
    """A fault is a warning; it regards the object."""
    (event,) = await posted(condition())
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "StorageFull", "free space")
    assert event["regarding"]["uid"] == "u1"


async def test_that_all_is_well_again_is_no_warning():
    """A straggler is one."""
    slow, fine = await posted(condition("Straggling"), condition("Straggling", ConditionStatus.FALSE, "AllKeepUp"))
    assert (slow["type"], fine["type"]) == ("Warning", "Normal")


@pytest.mark.parametrize(
    ("told", "count"),
    [
        pytest.param([condition(), condition()], 1, id="the same fact twice"),
        pytest.param([condition("RolledBack", message=f"to step {step}") for step in (20, 10)], 2, id="the same with another sentence"),
        pytest.param([condition(status=ConditionStatus.FALSE)], 0, id="what does not hold"),
        pytest.param([condition("Straggling"), condition("Straggling", ConditionStatus.FALSE, "AllKeepUp")], 2, id="that nobody is slow any more"),
        pytest.param([condition("Reconciling")], 0, id="what nobody wants to see"),
        pytest.param([condition("Ready", reason="Complete"), condition("Complete", reason="Complete")], 1, id="the end is told once"),
        pytest.param([condition(reason=f"R{index}") for index in range(BOUND + 5)], BOUND, id="a flood has a bound"),
    ],
)  # fmt: skip
async def test_what_is_posted(told, count):
    """One event a fact."""
    assert len(await posted(*told)) == count


async def test_who_may_not_write_posts_nothing():
    """Another replica tells it."""
    assert await posted(condition(), allowed=False) == []
