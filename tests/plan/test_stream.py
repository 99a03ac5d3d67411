"""A Stream's run, which never completes: what it says of itself, what it hands on, what it may survive, who gets its secrets."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.objects import DataPipeline
from headrace.api.run_report import RaisedAlert, RaisedAlerts, Records, Replay, StreamProgress
from headrace.api.status import Incident, Phase
from headrace.plan import labels
from headrace.plan.conditions import find, holds
from headrace.plan.plan import plan
from headrace.plan.values import Create, PodPhase
from tests.gen import NOW, dataset, pod, report, train_job
from tests.plan.test_run import head, observed, with_status
from tests.plan.test_stream_scale import stream

ONE = {"min": 1, "max": 1}
NEWEST = dataset(version=7)


def running(resource: DataPipeline | None = None, **status: Any) -> DataPipeline:
    return with_status(resource or stream(workers=ONE), input=None, **status)


def telling(**fields: Any):
    return head(live=report(workers=1, **({"stream": StreamProgress(lag=3), "dataset": NEWEST} | fields)))


def test_it_is_ready_while_it_runs() -> None:
    """For kubectl wait, kstatus and Argo CD; never Complete, and no longer Ready when a worker is missing."""
    said = plan(observed(running(), telling(records=Records(read=5, written=4, held=1)), pod()), NOW).status
    assert {each.type for each in said.conditions if each.status == "True"} == {"Ready", "Progressing"}
    assert (said.dataset, said.stream.lag, said.records.held) == (NEWEST, 3, 1)
    without = plan(observed(running(), telling()), NOW).status
    assert not holds(without.conditions, "Ready")
    assert holds(without.conditions, "Reconciling")


def test_alerts_are_told_for_some_minutes() -> None:
    """By the newest one's sentence, of which an Event is made; then that it is quiet, and how many there were."""
    raised = RaisedAlerts(count=3, last=(RaisedAlert(alert="hot", id="w", time=NOW, message="mean 31 is above 30"),))
    seen = observed(running(), telling(alerts=raised), pod())
    loud = plan(seen, NOW + timedelta(seconds=299)).status
    alerting = find(loud.conditions, "Alerting")
    assert (alerting.status, alerting.reason, alerting.message) == ("True", "AlertRaised", "hot: mean 31 is above 30; alert 3 of the stream")  # fmt: skip
    quiet = plan(replace(seen, object=running(alerts=raised)), NOW + timedelta(seconds=301)).status
    silent = find(quiet.conditions, "Alerting")
    assert (silent.status, silent.message) == ("False", "no alert for 5 minutes; 3 before")


def test_what_became_of_repaired_records_is_told() -> None:
    """That each took a bad one's place, or how many did not and why the first one; nothing before there are any."""
    said = [
        find(plan(observed(running(), telling(replay=replay), pod()), NOW).status.conditions, "Replayed")
        for replay in (None, Replay(given=3), Replay(given=3, refused=1, problem="record a was replayed already"))
    ]
    assert [(each.status, each.reason) if each else None for each in said] == [
        None,
        ("True", "Replayed"),
        ("False", "NotReplayed"),
    ]
    assert (
        said[2].message
        == "1 of 3 repaired records took no bad record's place; the first: record a was replayed already"
    )


@pytest.mark.parametrize(
    ("told", "pinned"),
    [
        ({"dataset": NEWEST}, NEWEST),
        ({"dataset": None}, None),
        ({"dataset": DatasetVersion(uri="file:///t", version=0, digest="d")}, None),
        ({"dataset": NEWEST, "digest": "of another spec"}, None),
        ({"dataset": NEWEST, "phase": Phase.FAILED}, None),
    ],
    ids=["it has records", "nothing is written yet", "a table without records", "it was edited", "it failed"],
)
def test_a_job_learns_from_what_a_stream_has_written(told: dict[str, Any], pinned: DatasetVersion | None) -> None:
    """It pins the newest version there is, without waiting for an end that never comes."""
    source = running(**told)
    job = with_status(train_job(), phase=Phase.PENDING, attempt_time=None, input=None)
    status = plan(replace(observed(job), related=dict.fromkeys(observed(job).related, source)), NOW).status
    assert status.input == pinned
    if pinned is None and source.status.phase != Phase.FAILED:
        assert find(status.conditions, "Ready").reason == "WaitingForDataset"


def test_another_run_starts_without_the_version_of_the_one_before() -> None:
    """Steps were edited: what was written by others is not what a job now waits for."""
    edited = plan(observed(running(digest="before", phase=Phase.SUSPENDED, dataset=NEWEST)), NOW).status
    assert (edited.run, edited.dataset) == (2, None)


@pytest.mark.parametrize(("ago", "restarts"), [(3599, 3), (3600, 1)])
def test_healthy_hours_restore_what_it_may_survive(ago: int, restarts: int) -> None:
    """A bound for the life of what never ends would be reached some day."""
    before = Incident(time=NOW - timedelta(seconds=ago), attempt=1, reason="HeadFailed", message="m")
    broken = head(phase=PodPhase.FAILED, exit_code=9)
    assert plan(observed(running(restarts=2, incidents=(before,)), broken), NOW).status.restarts == restarts


def test_secrets_reach_those_who_use_them() -> None:
    """The broker's password goes to all who ask the broker, a webhook's address to the head alone."""
    key = {"name": "events", "key": "password"}
    source = {"kafka": {"brokers": ["k:9092"], "topics": ["t"], "password": key}}
    hook = {"name": "chat", "key": "address"}
    alerts = [
        {"name": "cold", "column": "t", "below": 0, "webhook": {"uri": "https://alerts.example.com"}},
        {"name": "hot", "column": "t", "above": 30, "webhook": {"secret": hook}},
    ]
    starting = running(stream(workers=ONE, source=source, alerts=alerts), phase=Phase.PENDING)
    made = [each.manifest for each in plan(observed(starting), NOW).actions if isinstance(each, Create)]
    pods = {each["metadata"]["labels"][labels.ROLE]: each for each in made if each["kind"] == "Pod"}
    found = {
        role: {
            each["name"]: each["valueFrom"]["secretKeyRef"]
            for each in each_pod["spec"]["containers"][0]["env"]
            if "HEADRACE_KAFKA" in each["name"] or "HEADRACE_WEBHOOK" in each["name"]
        }
        for role, each_pod in pods.items()
    }
    password = {"HEADRACE_KAFKA_PASSWORD": key | {"optional": True}}
    assert found == {
        labels.HEAD: password | {"HEADRACE_WEBHOOK_1": hook | {"optional": True}},
        labels.WORKER: password,
    }
