"""The life of an endpoint as a story told pass by pass."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from headrace.api.objects import InferenceEndpoint
from headrace.api.run_report import VersionTraffic
from headrace.api.run_spec import Routing
from headrace.api.status import EndpointPhase, InferenceEndpointStatus, RolloutStatus, Verdict
from headrace.plan import labels
from headrace.plan.conditions import find, holds
from headrace.plan.endpoint_children import routing
from headrace.plan.names import version_place
from headrace.plan.plan import plan
from headrace.plan.values import Apply, Delete, Observed, Pod, PodPhase, Push
from tests.gen import NOW, endpoint, model, report, train_job

LATER = NOW + timedelta(hours=1)
OLD, NEW = model("old", 0.90), model("new", 0.95, created=LATER)


def offering(*models: Any) -> dict:
    jobs = []
    for number, offered in enumerate(models):
        job = train_job(f"job-{number}", rollout={"endpoint": "digits"})
        jobs.append(job.model_copy(update={"status": job.status.model_copy(update={"model": offered})}))
    return {job.key: job for job in jobs}


def server(version: str, ready: bool = True) -> Pod:
    own = {labels.ROLE: labels.SERVER, labels.VERSION: version_place(version)}
    return Pod(
        f"server-{version}",
        f"uid-{version}",
        PodPhase.RUNNING,
        own,
        ready=ready,
        address="10.0.0.1",
        ports={"http": 8000},
    )


def router(table: Routing | None = None, **versions: VersionTraffic) -> Pod:
    live = report(routing=table or Routing(), versions=versions)
    return Pod(
        "router",
        "uid-router",
        PodPhase.RUNNING,
        {labels.ROLE: labels.ROUTER},
        ready=True,
        live=live,
        address="10.0.0.2",
        ports={"http": 8000},
    )


def in_rollout(step: int, weight: int, **fields: Any) -> InferenceEndpointStatus:
    rollout = RolloutStatus(candidate=NEW, start_time=NOW, step=step, weight=weight, **fields)
    return InferenceEndpointStatus(stable=OLD, rollout=rollout, phase=EndpointPhase.PROGRESSING)


def seen(
    status: InferenceEndpointStatus | None = None,
    *pods: Pod,
    resource: InferenceEndpoint | None = None,
    offers: tuple = (OLD, NEW),
) -> Observed:
    """What is seen of the endpoint; routers have the table that the status asks for unless they bring their own."""
    resource = resource or endpoint()
    if status:
        resource = resource.model_copy(update={"status": status})
    return Observed(resource, pods, related=offering(*offers))


def agreed(
    status: InferenceEndpointStatus, *servers: Pod, offers: tuple = (OLD, NEW), **versions: VersionTraffic
) -> Observed:
    table = routing(seen(status, *servers))
    return seen(status, *servers, router(table, **versions), offers=offers)


def test_without_a_model_the_endpoint_waits() -> None:
    """An endpoint that no job offers a model to says how to offer one."""
    planned = plan(seen(offers=()), NOW)
    assert planned.status.phase == EndpointPhase.WAITING
    ready = find(planned.status.conditions, "Ready")
    assert ready is not None
    assert "rollout: {endpoint: digits}" in ready.message


def test_the_first_version_serves_without_a_rollout() -> None:
    """With nothing to compare with, the first version becomes stable; the newest of several is taken."""
    status = plan(seen(), NOW).status
    assert (status.stable, status.rollout) == (NEW, None)
    assert status.history[0].verdict == Verdict.PROMOTED


def test_the_saved_stable_version_gets_its_children() -> None:
    """Router, servers, Service and who may reach them are applied once the decision is saved."""
    planned = plan(seen(InferenceEndpointStatus(stable=OLD), offers=(OLD,)), NOW)
    kinds = sorted(action.manifest["kind"] for action in planned.actions if isinstance(action, Apply))
    assert kinds == ["ConfigMap", "ConfigMap", "Deployment", "Deployment", "NetworkPolicy", "NetworkPolicy", "Service"]


def test_a_better_version_becomes_the_candidate() -> None:
    """A newer offer that passes the offline comparison starts a rollout without traffic."""
    rollout = plan(seen(InferenceEndpointStatus(stable=OLD)), NOW).status.rollout
    assert rollout is not None
    assert (rollout.candidate, rollout.step, rollout.weight) == (NEW, -1, 0)


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [
        (model("worse", 0.5, LATER), Verdict.REJECTED),
        (model("other", 0.99, LATER).model_copy(update={"metrics": {}}), Verdict.INCONCLUSIVE),
    ],
)
def test_offline_gate(candidate: Any, verdict: Verdict) -> None:
    """A worse version is rejected and one that cannot be compared is inconclusive; neither gets traffic, neither is judged twice."""
    first = plan(seen(InferenceEndpointStatus(stable=OLD), offers=(OLD, candidate)), NOW).status
    assert (first.stable, first.rollout, first.history[0].verdict) == (OLD, None, verdict)
    assert plan(seen(first, offers=(OLD, candidate)), NOW).status.history == first.history


def test_the_candidate_waits_for_its_servers() -> None:
    """No traffic moves before the candidate's servers are ready."""
    waiting = plan(agreed(in_rollout(-1, 0), server("old"), server("new", ready=False)), NOW).status
    assert waiting.rollout is not None
    assert waiting.rollout.step == -1
    moved = plan(agreed(in_rollout(-1, 0), server("old"), server("new")), NOW).status.rollout
    assert moved is not None
    assert (moved.step, moved.weight) == (0, 20)


def test_a_step_begins_when_the_routers_have_it() -> None:
    """The weight is pushed, and the clock of the step starts when every router reports it."""
    status = in_rollout(0, 20)
    told = plan(seen(status, server("old"), server("new"), router()), NOW)
    (push,) = [action for action in told.actions if isinstance(action, Push)]
    assert [backend["weight"] for backend in push.body["backends"]] == [80, 20]
    assert told.status.rollout is not None
    assert told.status.rollout.step_time is None
    begun = plan(agreed(status, server("old"), server("new"), new=VersionTraffic(requests=7)), NOW).status.rollout
    assert begun is not None
    assert (begun.step_time, begun.baseline.requests if begun.baseline else None) == (NOW, 7)


def judged(traffic: VersionTraffic, now: datetime, step: int = 0, weight: int = 20) -> InferenceEndpointStatus:
    status = in_rollout(step, weight, step_time=NOW, baseline={})
    planned = plan(agreed(status, server("old"), server("new"), new=traffic), now).status
    assert isinstance(planned, InferenceEndpointStatus)
    return planned


def test_a_good_step_leads_to_the_next_after_its_hold() -> None:
    """Good answers move the weight on, not before the hold is over."""
    good = VersionTraffic(requests=20)
    early, late = judged(good, NOW + timedelta(seconds=9)), judged(good, NOW + timedelta(seconds=10))
    assert early.rollout is not None
    assert early.rollout.step == 0
    assert late.rollout is not None
    assert (late.rollout.step, late.rollout.weight) == (1, 50)


def test_the_last_good_step_promotes() -> None:
    """After the last step the candidate is the stable version."""
    status = judged(VersionTraffic(requests=20), NOW + timedelta(seconds=10), step=1, weight=50)
    assert (status.stable, status.rollout, status.history[0].verdict) == (NEW, None, Verdict.PROMOTED)


def test_errors_roll_back_at_once() -> None:
    """A candidate that fails requests loses its traffic before the hold is over, with the reason."""
    status = judged(VersionTraffic(requests=12, errors=6), NOW + timedelta(seconds=1))
    assert (status.stable, status.rollout, status.history[0].verdict) == (OLD, None, Verdict.ROLLED_BACK)
    assert "6 of 12 requests failed" in status.history[0].message


def test_too_few_requests_are_never_a_promotion() -> None:
    """Without evidence the step waits, and at the deadline the rollout is inconclusive."""
    few = VersionTraffic(requests=3)
    waiting = judged(few, NOW + timedelta(seconds=1000))
    assert waiting.rollout is not None
    assert judged(few, NOW + timedelta(seconds=1800)).history[0].verdict == Verdict.INCONCLUSIVE


def test_a_newer_offer_supersedes_the_candidate() -> None:
    """The rollout of an older candidate ends when a newer version is offered."""
    newest = model("newest", 0.99, LATER + timedelta(hours=1))
    status = plan(seen(in_rollout(0, 20), offers=(OLD, NEW, newest)), NOW).status
    assert (status.rollout, status.history[0].verdict) == (None, Verdict.SUPERSEDED)


def test_old_servers_stay_until_no_router_names_them() -> None:
    """After a promotion the old servers go only when the routers no longer send them requests."""
    status = InferenceEndpointStatus(stable=NEW)
    old = {
        "kind": "Deployment",
        "metadata": {"name": "d", "uid": "u", "labels": {labels.VERSION: version_place("old")}},
    }
    table = routing(seen(in_rollout(1, 50), server("old"), server("new")))
    still = plan(Observed(seen(status).object, (server("new"), router(table)), (old,)), NOW)
    assert not [action for action in still.actions if isinstance(action, Delete)]
    told = routing(seen(status, server("new")))
    gone = plan(Observed(seen(status).object, (server("new"), router(told)), (old,)), NOW)
    assert [action for action in gone.actions if isinstance(action, Delete)] == [Delete("Deployment", "d", "u")]


def test_suspend_takes_all_servers_away() -> None:
    """A suspended endpoint has no children and says how to resume."""
    resource = endpoint(suspend=True)
    child = {"kind": "Deployment", "metadata": {"name": "d", "uid": "u", "labels": {}}}
    planned = plan(
        Observed(resource.model_copy(update={"status": InferenceEndpointStatus(stable=OLD)}), (), (child,)), NOW
    )
    assert planned.actions == (Delete("Deployment", "d", "u"),)
    assert planned.status.phase == EndpointPhase.SUSPENDED


def test_ready_means_that_requests_are_answered() -> None:
    """Ready needs a ready server of the stable version and a router that sends to it."""
    status = InferenceEndpointStatus(stable=OLD)
    assert plan(agreed(status, server("old"), offers=(OLD,)), NOW).status.phase == EndpointPhase.READY
    assert plan(seen(status, server("old"), router(), offers=(OLD,)), NOW).status.phase == EndpointPhase.STARTING
    assert (
        plan(seen(status, server("old", ready=False), router(), offers=(OLD,)), NOW).status.phase
        == EndpointPhase.STARTING
    )


def test_an_endpoint_settles_when_the_old_servers_are_gone() -> None:
    """While servers of the former version leave, the endpoint serves and is still progressing."""
    status = InferenceEndpointStatus(stable=NEW)
    planned = plan(agreed(status, server("new"), server("old")), NOW).status
    assert (planned.phase, holds(planned.conditions, "Ready")) == (EndpointPhase.PROGRESSING, True)
    assert plan(agreed(status, server("new")), NOW).status.phase == EndpointPhase.READY


@pytest.mark.parametrize(
    ("spec", "target"), [({}, "label"), ({"loss": {"nextToken": {}}, "model": {"builtin": "LanguageModel"}}, "")]
)
def test_a_probe_judges_labels_alone(spec: dict, target: str) -> None:
    """What a model that writes goes on with is compared to no column of the table."""
    job = train_job("job", rollout={"endpoint": "digits"}, **spec)
    job = job.model_copy(update={"status": job.status.model_copy(update={"model": NEW})})
    owner = endpoint(rollout={"probe": {}}).model_copy(update={"status": in_rollout(0, 10)})
    actions = plan(Observed(object=owner, related={job.key: job}), NOW).actions
    maps = [
        action.manifest for action in actions if isinstance(action, Apply) and action.manifest["kind"] == "ConfigMap"
    ]
    (sent,) = [json.loads(each["data"]["run.json"]) for each in maps if "probe" in each["data"]["run.json"]]
    assert sent["target"] == target
