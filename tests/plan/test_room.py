"""All or nothing at workers.min, as tables."""

from datetime import timedelta

import pytest

from headrace.api.run_report import ReportPhase
from headrace.api.status import Phase
from headrace.plan import labels
from headrace.plan.conditions import find
from headrace.plan.plan import plan
from headrace.plan.room import LONGEST_PAUSE_SECONDS, pause_seconds
from headrace.plan.values import Delete, Pod, PodPhase
from tests.gen import NOW, pod, report, train_job
from tests.plan.test_run import head, observed, with_status

WAITING = {"phase": PodPhase.PENDING, "reason": "Unschedulable"}
LATER = NOW + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("pods", "given_back"),
    [
        pytest.param([head(), pod(), pod(index=1, **WAITING)], True, id="one of two workers has room"),
        pytest.param([head(**WAITING), pod(), pod(index=1)], True, id="the head has none"),
        pytest.param([head(), pod(phase=PodPhase.PENDING, bound=True), pod(index=1, **WAITING)], True, id="a pod that pulls its image holds room"),
        pytest.param([head(**WAITING), pod(**WAITING), pod(index=1, **WAITING)], False, id="who holds nothing may wait"),
        pytest.param([head(), pod(), pod(index=1)], False, id="all have room"),
        pytest.param([head(), pod(), pod(index=1), pod(index=2, **WAITING)], False, id="the minimum has room"),
        pytest.param([head(), pod()], False, id="a pod that is not even made waits for no room"),
    ],
)  # fmt: skip
def test_who_gives_room_back(pods: list[Pod], given_back: bool) -> None:
    """After scheduleTimeoutSeconds a run that holds too little tries again, which spends no restart."""
    job = with_status(train_job(workers={"min": 2, "max": 3}), phase=Phase.PENDING)
    assert plan(observed(job, *pods), LATER - timedelta(seconds=1)).status.releases == 0
    status = plan(observed(job, *pods), LATER).status
    assert (status.releases, status.attempt) == ((1, 2) if given_back else (0, 1))
    assert (status.restarts, status.disruptions) == (0, 0)


def test_what_was_held_is_free_before_the_next_attempt() -> None:
    """The pods go at once, and the pause counts from the decision."""
    job = with_status(train_job(), phase=Phase.STARTING)
    pods = head(), pod(), pod(index=1, **WAITING)
    status = plan(observed(job, *pods), LATER).status
    assert status.retry_at and LATER < status.retry_at <= LATER + timedelta(seconds=30)
    assert "scheduleTimeoutSeconds, 600 s" in status.incidents[-1].message
    released = job.model_copy(update={"status": status})
    planned = plan(observed(released, *pods), LATER)
    assert {action.name for action in planned.actions if isinstance(action, Delete)} == {each.name for each in pods}
    reconciling = find(planned.status.conditions, "Reconciling")
    assert reconciling and reconciling.reason == "BackingOff"


def test_a_run_that_lost_its_room_gives_the_rest_back() -> None:
    """Also later, counted from its last progress, so that the survivors' room is not idle for ever."""
    job = with_status(train_job(stallSeconds=10_000), progress_time=NOW + timedelta(seconds=100))
    pods = head(), pod(), pod(index=1, **WAITING)
    assert plan(observed(job, *pods), LATER + timedelta(seconds=99)).status.releases == 0
    assert plan(observed(job, *pods), LATER + timedelta(seconds=100)).status.releases == 1


def test_pauses_grow_and_differ() -> None:
    """Two runs that waited for each other do not meet again; no pause is longer than fifteen minutes."""
    status = train_job().status
    first = [pause_seconds(uid, status) for uid in ("a", "b", "c")]
    assert len(set(first)) == 3
    assert all(20 <= pause <= 30 for pause in first)
    assert pause_seconds("a", status.model_copy(update={"releases": 50})) <= LONGEST_PAUSE_SECONDS * 1.5


def test_running_forgets_earlier_releases() -> None:
    """The next wait starts with a short pause again."""
    job = with_status(train_job(), phase=Phase.STARTING, releases=4)
    running = pod(labels.HEAD, live=report(ReportPhase.RUNNING))
    assert plan(observed(job, running, pod(), pod(index=1)), NOW).status.releases == 0
