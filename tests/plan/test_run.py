"""The life of a run as tables: what was seen, what is decided."""

from datetime import timedelta
from typing import Any

import pytest

from headrace.api.edits import spec_digest
from headrace.api.objects import RunObject
from headrace.api.run_report import LOST_HEAD, Progress, ReportPhase
from headrace.api.status import Phase
from headrace.plan import labels
from headrace.plan.conditions import find, holds
from headrace.plan.plan import plan
from headrace.plan.run_children import chosen_workers
from headrace.plan.values import Create, Delete, DeleteSelf, Observed, Pod, PodPhase
from tests.gen import NOW, dataset, model, pipeline, pod, report, train_job


def with_status(resource: RunObject, **status: Any) -> RunObject:
    """The object in its first run, with the status that is named."""
    base = {
        "run": 1,
        "attempt": 1,
        "digest": spec_digest(resource.spec),
        "phase": Phase.RUNNING,
        "attempt_time": NOW,
        "start_time": NOW,
        "input": dataset(),
    }
    return resource.model_copy(update={"status": resource.status.model_copy(update=base | status)})


def observed(resource: RunObject, *pods: Pod, **fields: Any) -> Observed:
    """What is seen of an object with these pods, beside a finished pipeline."""
    done = pipeline()
    done = with_status(done, phase=Phase.COMPLETE, dataset=dataset())
    return Observed(resource, pods, related={done.key: done}, **fields)


def head(**fields: Any) -> Pod:
    return pod(labels.HEAD, **fields)


def ended(**fields: Any) -> Pod:
    """A head that has terminated with a report."""
    phase = PodPhase.SUCCEEDED if fields["phase"] == ReportPhase.COMPLETE else PodPhase.FAILED
    return head(phase=phase, exit_code=0 if phase == PodPhase.SUCCEEDED else 1, final=report(**fields))


def test_a_new_object_gets_its_first_run() -> None:
    """The first pass numbers the run and the attempt and makes nothing."""
    planned = plan(observed(train_job()), NOW)
    assert (planned.status.run, planned.status.attempt, planned.status.phase) == (1, 1, Phase.PENDING)
    assert planned.actions == ()


def test_a_decision_is_saved_before_it_is_acted_on() -> None:
    """The pass that starts an attempt makes no pod; the pass that sees it saved makes them all."""
    first = plan(observed(with_status(train_job(), phase=Phase.PENDING, attempt_time=None)), NOW)
    assert (first.status.attempt_time, first.actions, first.requeue_after) == (NOW, (), 0.0)
    job = train_job().model_copy(update={"status": first.status})
    second = plan(observed(job), NOW)
    made = [action.manifest["kind"] for action in second.actions if isinstance(action, Create)]
    assert made == ["ConfigMap", "Secret", "NetworkPolicy", "Pod", "Pod", "Pod"]


@pytest.mark.parametrize(("phase", "kept"), [(Phase.PENDING, False), (Phase.STARTING, True)])
def test_a_head_is_reached_and_kept_from_eviction_once_it_runs(phase: Phase, kept: bool) -> None:
    """Before that there is nothing to reach and nothing to keep."""
    planned = plan(observed(with_status(train_job(), phase=phase), head(phase=PodPhase.PENDING)), NOW)
    made = [action.manifest["kind"] for action in planned.actions if isinstance(action, Create)]
    assert {"PodDisruptionBudget", "Service"}.issubset(made) is kept
    assert {"PodDisruptionBudget", "Service"}.isdisjoint(made) is not kept


@pytest.mark.parametrize(("address", "family"), [("10.0.0.7", "IPv4"), ("fd00::7", "IPv6")])
def test_the_name_of_a_head_leads_to_its_address(address: str, family: str) -> None:
    """Its Service selects nothing, and the EndpointSlice of the same name has the one address."""
    job = with_status(train_job(), phase=Phase.STARTING)
    planned = plan(observed(job, head(phase=PodPhase.RUNNING, address=address)), NOW)
    made = {each.manifest["kind"]: each.manifest for each in planned.actions if isinstance(each, Create)}
    service, behind = made["Service"], made["EndpointSlice"]
    assert (service["spec"]["clusterIP"], service["spec"]["selector"]) == ("None", {})
    assert behind["metadata"]["labels"][labels.SLICE_SERVICE] == service["metadata"]["name"]
    assert (behind["addressType"], behind["endpoints"][0]["addresses"]) == (family, [address])
    assert {port["name"]: port["port"] for port in behind["ports"]} == {
        port["name"]: port["port"] for port in service["spec"]["ports"]
    }


def test_a_head_without_an_address_is_waited_for() -> None:
    """Its name is there first, and leads nowhere."""
    planned = plan(observed(with_status(train_job(), phase=Phase.STARTING), head(phase=PodPhase.RUNNING)), NOW)
    made = [action.manifest["kind"] for action in planned.actions if isinstance(action, Create)]
    assert "Service" in made
    assert "EndpointSlice" not in made


def test_a_run_pins_its_dataset_version() -> None:
    """The version that the run starts with stays when the pipeline finishes a newer one."""
    job = with_status(train_job(), phase=Phase.PENDING, input=None, attempt_time=None)
    assert plan(observed(job), NOW).status.input == dataset(0)
    newer = with_status(pipeline(), phase=Phase.COMPLETE, dataset=dataset(5))
    pinned = with_status(train_job(), phase=Phase.PENDING, attempt_time=None)
    assert plan(Observed(pinned, related={newer.key: newer}), NOW).status.input == dataset(0)


@pytest.mark.parametrize(
    ("pods", "phase", "counts"),
    [
        pytest.param([], Phase.PENDING, (2, 0, 1), id="a vanished head is a disruption"),
        pytest.param([head(phase=PodPhase.FAILED, exit_code=137)], Phase.PENDING, (2, 1, 0), id="a head that ends without a word is a restart"),
        pytest.param([head(phase=PodPhase.FAILED, disrupted=True)], Phase.PENDING, (2, 0, 1), id="an evicted head is a disruption"),
        pytest.param([ended(phase=ReportPhase.INTERRUPTED)], Phase.PENDING, (2, 0, 1), id="a head stopped from outside is a disruption"),
        pytest.param([ended(phase=ReportPhase.FAILED, reason="StorageFull")], Phase.PENDING, (2, 1, 0), id="a failure that may pass is a restart"),
        pytest.param([ended(phase=ReportPhase.FAILED, reason="EmptyDataset", retryable=False)], Phase.FAILED, (1, 0, 0), id="a hopeless failure ends the run"),
        pytest.param([ended(phase=ReportPhase.COMPLETE, model=model())], Phase.COMPLETE, (1, 0, 0), id="a complete report completes the run"),
        pytest.param([ended(phase=ReportPhase.COMPLETE)], Phase.PENDING, (2, 1, 0), id="complete without a result is a restart"),
        pytest.param([head(), pod(phase=PodPhase.FAILED, exit_code=137)], Phase.RUNNING, (1, 1, 0), id="a killed worker counts as a restart, in place"),
        pytest.param([head(), pod(phase=PodPhase.FAILED, disrupted=True)], Phase.RUNNING, (1, 0, 1), id="an evicted worker does not spend a restart"),
        pytest.param([head(live=report(ReportPhase.COMPLETE)), pod(phase=PodPhase.FAILED, exit_code=1)], Phase.RUNNING, (1, 0, 0), id="workers that end with their head are not lost"),
        pytest.param([head(live=report()), pod(phase=PodPhase.FAILED, exit_code=LOST_HEAD)], Phase.RUNNING, (1, 0, 0), id="a worker that lost its head waits for the head's end"),
        pytest.param([head(phase=PodPhase.FAILED, deleting=True)], Phase.RUNNING, (1, 0, 0), id="a head that is being deleted is waited for"),
        pytest.param([head(attempt=9, phase=PodPhase.FAILED)], Phase.PENDING, (2, 0, 1), id="a head of another attempt says nothing"),
    ],
)  # fmt: skip
def test_what_pods_mean(pods: list[Pod], phase: Phase, counts: tuple[int, int, int]) -> None:
    """The fate of the pods of a running job decides phase, attempt, restarts and disruptions."""
    planned = plan(observed(with_status(train_job()), *pods), NOW)
    status = planned.status
    assert (status.phase, (status.attempt, status.restarts, status.disruptions)) == (phase, counts)
    assert planned.actions == () or phase == Phase.RUNNING


def test_a_lost_worker_is_counted_once_and_replaced() -> None:
    """A counted pod is deleted, so that its place is filled; it is not counted again."""
    lost = pod(phase=PodPhase.FAILED, exit_code=137)
    job = with_status(train_job(), lost_pods=(lost.uid,), restarts=1)
    planned = plan(observed(job, head(), lost), NOW)
    assert planned.status.restarts == 1
    assert Delete("Pod", lost.name, lost.uid) in planned.actions


def test_the_recovery_is_told() -> None:
    """A recovery stands in the conditions with what was lost."""
    lost = pod(phase=PodPhase.FAILED, exit_code=137)
    planned = plan(observed(with_status(train_job()), head(), lost), NOW)
    recovered = find(planned.status.conditions, "Recovered")
    assert recovered is not None
    assert recovered.reason == "WorkerLost"
    assert "exit code 137" in recovered.message


def test_restarts_are_bounded() -> None:
    """When maxRestarts is spent the run fails, and says what happened last."""
    job = with_status(train_job(recovery={"maxRestarts": 2}), restarts=2)
    status = plan(observed(job, head(phase=PodPhase.FAILED, exit_code=1)), NOW).status
    assert status.phase == Phase.FAILED
    failed = find(status.conditions, "Failed")
    assert failed is not None
    assert failed.reason == "RestartsExhausted"
    assert "exit code 1" in failed.message


def test_a_restart_waits_before_it_starts() -> None:
    """The next attempt starts after the back-off and not before."""
    job = with_status(train_job(recovery={"backoffSeconds": 7}))
    status = plan(observed(job, head(phase=PodPhase.FAILED, exit_code=1)), NOW).status
    assert status.retry_at == NOW + timedelta(seconds=7)
    waiting = train_job(recovery={"backoffSeconds": 7}).model_copy(update={"status": status})
    assert plan(observed(waiting), NOW + timedelta(seconds=6)).status.attempt_time is None
    assert plan(observed(waiting), NOW + timedelta(seconds=7)).status.attempt_time == NOW + timedelta(seconds=7)


def test_pods_of_an_old_attempt_go_before_new_ones_come() -> None:
    """While a pod of another attempt is there, nothing is made."""
    job = with_status(train_job(), phase=Phase.PENDING, attempt=2)
    old = head(attempt=1)
    assert plan(observed(job, old), NOW).actions == (Delete("Pod", old.name, old.uid),)
    leaving = head(attempt=1, deleting=True)
    assert plan(observed(job, leaving), NOW).actions == ()


def test_suspend_stops_the_head_first() -> None:
    """The head has the workers checkpoint before they go; the phase follows the pods."""
    job = with_status(train_job(suspend=True), phase=Phase.SUSPENDING)
    planned = plan(observed(job, head(), pod()), NOW)
    assert [action.name for action in planned.actions if isinstance(action, Delete)] == ["r1a1-head"]
    planned = plan(observed(job, pod()), NOW)
    assert [action.name for action in planned.actions if isinstance(action, Delete)] == ["r1a1-worker-0"]
    assert plan(observed(job), NOW).status.phase == Phase.SUSPENDED


def test_resuming_starts_another_attempt_and_spends_nothing() -> None:
    """A suspended job that is resumed has a new attempt and its old counters."""
    suspended = plan(observed(with_status(train_job(suspend=True), phase=Phase.SUSPENDING)), NOW).status
    assert (suspended.attempt, suspended.restarts, suspended.disruptions) == (2, 0, 0)
    job = with_status(
        train_job(), **{name: getattr(suspended, name) for name in type(suspended).model_fields if name != "digest"}
    )
    assert plan(observed(job), NOW).status.phase == Phase.PENDING


def test_suspending_before_the_start_needs_no_pods() -> None:
    """A job that has not started is suspended at once."""
    job = with_status(train_job(suspend=True), phase=Phase.PENDING, attempt_time=None)
    assert plan(observed(job), NOW).status.phase == Phase.SUSPENDED


def test_the_deadline_ends_the_run() -> None:
    """Active time beyond activeDeadlineSeconds fails the run; suspended time does not count."""
    job = with_status(train_job(activeDeadlineSeconds=10), active_seconds=6.0)
    assert plan(observed(job, head()), NOW + timedelta(seconds=4)).status.phase == Phase.RUNNING
    status = plan(observed(job, head()), NOW + timedelta(seconds=5)).status
    assert status.phase == Phase.FAILED
    assert status.incidents[-1].reason == "DeadlineExceeded"


def test_no_progress_restarts_the_run() -> None:
    """A run that reports the same step for stallSeconds is started again."""
    stuck = head(live=report(progress=Progress(step=5)))
    job = with_status(train_job(stallSeconds=30), progress=Progress(step=5), progress_time=NOW)
    assert plan(observed(job, stuck), NOW + timedelta(seconds=30)).status.attempt == 1
    assert plan(observed(job, stuck), NOW + timedelta(seconds=31)).status.incidents[-1].reason == "Stalled"
    alive = head(live=report(progress=Progress(step=6)))
    assert plan(observed(job, alive), NOW + timedelta(seconds=31)).status.attempt == 1


def test_a_head_that_never_gets_to_run_is_restarted() -> None:
    """A head that hangs while it starts is stalled, too, from the moment it started."""
    job = with_status(train_job(stallSeconds=60), phase=Phase.PENDING)
    started = plan(observed(job, head(), pod(), pod(index=1)), NOW).status
    assert (started.phase, started.progress_time) == (Phase.STARTING, NOW)
    hanging = job.model_copy(update={"status": started})
    seen = observed(hanging, head(), pod(), pod(index=1))
    assert plan(seen, NOW + timedelta(seconds=60)).status.restarts == 0
    assert plan(seen, NOW + timedelta(seconds=61)).status.restarts == 1


def test_an_edit_of_a_finished_run_starts_the_next() -> None:
    """A changed digest starts run 2 with fresh counters and keeps the last model."""
    job = with_status(train_job(), phase=Phase.COMPLETE, model=model(), restarts=2)
    edited = train_job(seed=7).model_copy(update={"status": job.status})
    status = plan(observed(edited), NOW).status
    assert (status.run, status.attempt, status.restarts, status.phase) == (2, 1, 0, Phase.PENDING)
    assert status.model == model()


def test_a_finished_run_stays_still() -> None:
    """Nothing is done about a complete run whose pods have ended."""
    job = with_status(train_job(), phase=Phase.COMPLETE)
    first = plan(observed(job, head(phase=PodPhase.SUCCEEDED)), NOW)
    settled = job.model_copy(update={"status": first.status})
    second = plan(observed(settled, head(phase=PodPhase.SUCCEEDED)), NOW + timedelta(days=1))
    assert (second.status, second.actions, second.requeue_after) == (first.status, (), None)


def test_time_to_live_deletes_the_object() -> None:
    """A finished object goes after ttlSecondsAfterFinished, and the planner asks to be woken then."""
    job = with_status(train_job(ttlSecondsAfterFinished=60), phase=Phase.COMPLETE, completion_time=NOW)
    assert plan(observed(job), NOW + timedelta(seconds=59)).requeue_after == pytest.approx(1.1)
    assert plan(observed(job), NOW + timedelta(seconds=60)).actions == (DeleteSelf("uid-train"),)


def test_workers_scale_in_place() -> None:
    """Fewer workers.desired deletes the highest places; the survivors' pods are not touched."""
    three = with_status(train_job(workers={"min": 1, "max": 3}))
    made = [action.manifest for action in plan(observed(three, head()), NOW).actions if isinstance(action, Create)]
    pods = [
        Pod(manifest["metadata"]["name"], f"uid-{number}", PodPhase.RUNNING, manifest["metadata"]["labels"])
        for number, manifest in enumerate(manifest for manifest in made if manifest["kind"] == "Pod")
    ]
    assert len(pods) == 4
    two = with_status(train_job(workers={"min": 1, "max": 3, "desired": 2}))
    touched = [action for action in plan(observed(two, *pods), NOW).actions if not isinstance(action, Create)]
    assert touched == [Delete("Pod", pods[3].name, "uid-3")]


@pytest.mark.parametrize(
    ("wanted", "pods", "chosen"),
    [
        pytest.param(3, [], [0, 1, 2], id="the lowest numbers first"),
        pytest.param(
            2, [pod(index=0, phase=PodPhase.PENDING), pod(index=1), pod(index=2)], [1, 2], id="who runs stays"
        ),
        pytest.param(3, [pod(index=0), pod(index=3)], [0, 1, 3], id="a high number that runs is kept"),
        pytest.param(2, [pod(index=0, deleting=True), pod(index=1)], [0, 1], id="who goes is replaced under its name"),
        pytest.param(1, [pod(index=0, phase=PodPhase.FAILED), pod(index=1)], [1], id="who has ended goes first"),
    ],
)
def test_survivors_keep_their_pods(wanted: int, pods: list[Pod], chosen: list[int]) -> None:
    """A group that shrinks lets those go that it misses least."""
    assert chosen_workers(wanted, pods) == chosen


def test_progress_is_shown_every_so_often() -> None:
    """Between two status writes that only show progress lies progressSeconds."""
    job = with_status(train_job(), progress=Progress(step=1, total=10), report_time=NOW)
    further = head(live=report(time=NOW + timedelta(seconds=9), progress=Progress(step=5, total=10)))
    assert plan(observed(job, further), NOW + timedelta(seconds=9)).status.progress == Progress(step=1, total=10)
    shown = plan(observed(job, further), NOW + timedelta(seconds=10)).status
    assert (shown.progress, shown.percent) == (Progress(step=5, total=10), 50)


def test_a_deleted_object_is_left_alone() -> None:
    """Owner references delete the children; the planner does nothing."""
    job = with_status(train_job())
    job = job.model_copy(update={"metadata": job.metadata.model_copy(update={"deletion_timestamp": NOW})})
    assert plan(observed(job), NOW).actions == ()


def test_an_unschedulable_run_stays_pending_and_says_why() -> None:
    """While no pod can run the phase is Pending, and why stands in the condition."""
    waiting = head(phase=PodPhase.PENDING)
    stuck = pod(phase=PodPhase.PENDING, reason="Unschedulable", message="asks for 8 CPUs; this machine has 2")
    status = plan(observed(with_status(train_job(), phase=Phase.PENDING), waiting, stuck), NOW).status
    reconciling = find(status.conditions, "Reconciling")
    assert status.phase == Phase.PENDING
    assert reconciling is not None
    assert reconciling.reason == "Unschedulable"
    assert "asks for 8 CPUs" in reconciling.message


def test_no_worker_is_made_for_an_attempt_whose_head_is_leaving() -> None:
    """It would come too late; while the head stays, one that is gone is made again."""
    job = with_status(train_job())

    def made(of_head: Pod) -> list[str]:
        actions = plan(observed(job, of_head), NOW).actions
        return [one.manifest["kind"] for one in actions if isinstance(one, Create) and one.manifest["kind"] == "Pod"]

    assert made(head())
    assert not made(head(deleting=True))


def test_a_run_starts_when_its_head_runs() -> None:
    """Pending ends with the first sign of life; a head that is gone after that is a disruption."""
    assert plan(observed(with_status(train_job(), phase=Phase.PENDING), head()), NOW).status.phase == Phase.STARTING
    assert plan(observed(with_status(train_job(), phase=Phase.STARTING)), NOW).status.disruptions == 1


@pytest.mark.parametrize("phase", list(Phase))
def test_complete_and_failed_exclude_each_other(phase: Phase) -> None:
    """In every phase at most one of Complete and Failed is true, and Ready goes with Complete."""
    status = plan(observed(with_status(train_job(), phase=phase), head(), pod(), pod(index=1)), NOW).status
    assert not (holds(status.conditions, "Complete") and holds(status.conditions, "Failed"))
    assert holds(status.conditions, "Ready") == holds(status.conditions, "Complete")
