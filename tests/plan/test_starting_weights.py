"""The weights that a run starts with: which version is pinned, and what a job waits for that has none."""

from typing import Any

import pytest

from headrace.api.artifacts import StartingWeights
from headrace.api.edits import spec_digest
from headrace.api.objects import HeadraceObject, TrainJob
from headrace.api.run_spec import RunSpec
from headrace.api.status import Phase
from headrace.plan.conditions import find, holds
from headrace.plan.dependents import looks_at, starts_from
from headrace.plan.plan import plan
from headrace.plan.support import missing_support
from headrace.plan.values import Create, Observed
from tests.gen import NOW, dataset, endpoint, model, pipeline, train_job, tune_job

PINNED = StartingWeights(name="base-1", uri="file:///models/base-1", digest="m")


def tuned(source: dict[str, Any], **spec: Any) -> TrainJob:
    """A job that starts with given weights."""
    return train_job("tuned", model={"from": source}, **spec)


def with_status(resource: Any, **status: Any) -> Any:
    """The object with the status that is named, as its spec is now."""
    base = {"run": 1, "attempt": 1, "digest": spec_digest(resource.spec)} if hasattr(resource.status, "run") else {}
    return resource.model_copy(update={"status": resource.status.model_copy(update=base | status)})


def complete(resource: Any) -> Any:
    """A job that has made base-1."""
    return with_status(resource, phase=Phase.COMPLETE, model=model("base-1"))


def observed(job: TrainJob, *others: HeadraceObject) -> Observed:
    """What is seen of a job beside a finished pipeline and these."""
    done = with_status(pipeline(), phase=Phase.COMPLETE, dataset=dataset())
    return Observed(job, related={other.key: other for other in (done, *others)})


@pytest.mark.parametrize(
    ("source", "other"),
    [
        pytest.param({"job": "base"}, complete(train_job("base")), id="what a TrainJob has made"),
        pytest.param({"tuneJob": "base"}, complete(tune_job("base")), id="what a TuneJob has made"),
        pytest.param({"endpoint": "base"}, with_status(endpoint("base"), stable=model("base-1")), id="what an endpoint serves"),
    ],
)  # fmt: skip
def test_a_run_pins_the_version(source: dict[str, Any], other: HeadraceObject) -> None:
    """The pass that starts the run saves name, address and digest, and acts on nothing."""
    job = tuned(source)
    assert looks_at(job, other) and starts_from(job) == other.key
    planned = plan(observed(job, other), NOW)
    assert (planned.status.started_from, planned.actions) == (PINNED, ())


def test_an_address_is_pinned_as_it_is() -> None:
    """What lies there only the run's head can read."""
    planned = plan(observed(tuned({"uri": "s3://models/bert"})), NOW)
    assert planned.status.started_from == StartingWeights(uri="s3://models/bert")


def test_a_pinned_version_stays() -> None:
    """A newer version of the job, and the job's deletion, change nothing for the run; its head is told what was pinned."""
    job = with_status(
        tuned({"job": "base"}), attempt=2, input=dataset(), started_from=PINNED, retry_at=None, start_time=NOW
    )
    newer = with_status(train_job("base"), phase=Phase.COMPLETE, model=model("base-2"))
    for others in ((newer,), ()):
        started = plan(observed(job, *others), NOW).status
        assert (started.started_from, started.attempt_time) == (PINNED, NOW)
        acting = plan(observed(job.model_copy(update={"status": started}), *others), NOW)
        told = next(
            action.manifest["data"]["run.json"]
            for action in acting.actions
            if isinstance(action, Create) and action.manifest["kind"] == "ConfigMap"
        )
        assert RunSpec.model_validate_json(told).started_from == PINNED


@pytest.mark.parametrize(
    ("source", "others", "reason", "stalled", "said"),
    [
        pytest.param({"job": "base"}, [], "ModelNotFound", True, "waits for TrainJob base, which does not exist; create it or correct spec.model.from.job", id="no such job"),
        pytest.param({"endpoint": "base"}, [], "ModelNotFound", True, "waits for InferenceEndpoint base, which does not exist; create it or correct spec.model.from.endpoint", id="no such endpoint"),
        pytest.param({"tuneJob": "base"}, [train_job("base")], "ModelNotFound", True, "waits for TuneJob base, which does not exist; create it or correct spec.model.from.tuneJob", id="a job of another kind"),
        pytest.param({"job": "base"}, [with_status(train_job("base"), phase=Phase.RUNNING)], "WaitingForModel", False, "waits for TrainJob base to finish", id="a job that runs"),
        pytest.param({"job": "base"}, [with_status(train_job("base"), phase=Phase.FAILED, model=model("base-0"))], "ModelFailed", True, "waits for TrainJob base, which failed; repair it", id="a job that failed"),
        pytest.param({"job": "base"}, [with_status(train_job("base"), phase=Phase.COMPLETE, model=model("base-0"), digest="older")], "WaitingForModel", False, "waits for TrainJob base to finish", id="a job that was edited since"),
        pytest.param({"endpoint": "base"}, [endpoint("base")], "WaitingForModel", False, "waits for InferenceEndpoint base, which serves no model yet", id="an endpoint without a model"),
    ],
)  # fmt: skip
def test_what_is_waited_for(
    source: dict[str, Any], others: list[HeadraceObject], reason: str, stalled: bool, said: str
) -> None:
    """No pod is made meanwhile; the condition says for what, and whether only a person can end it."""
    job = with_status(tuned(source))
    planned = plan(observed(job, *others), NOW)
    assert (planned.status.attempt_time, planned.status.started_from, planned.actions) == (None, None, ())
    ready = find(planned.status.conditions, "Ready")
    assert ready and (ready.reason, ready.message) == (reason, said)
    assert holds(planned.status.conditions, "Stalled") is stalled


def test_a_new_run_pins_anew() -> None:
    """An edit of a finished job starts a run with the version that is there now."""
    before = with_status(tuned({"job": "base"}), phase=Phase.COMPLETE, started_from=PINNED, model=model("tuned-1"))
    edited = before.model_copy(update={"spec": tuned({"job": "base"}, epochs=2).spec})
    base = with_status(train_job("base"), phase=Phase.COMPLETE, model=model("base-2"))
    started = plan(observed(edited, base), NOW).status
    assert (started.run, started.started_from.name, started.model.name) == (2, "base-2", "tuned-1")


def test_a_job_that_starts_from_itself_is_refused() -> None:
    """It would wait for its own end."""
    said = missing_support(tuned({"job": "tuned"}))
    assert said and said.startswith("spec.model.from.job is the job itself")
    assert missing_support(tuned({"tuneJob": "tuned"})) is None


def test_trials_start_anew() -> None:
    """A search that seems to start from weights and does not would mislead."""
    template = {"dataset": {"pipeline": "digits"}, "model": {"from": {"job": "base"}}, "epochs": 1}
    assert (missing_support(tune_job(template=template)) or "").startswith("spec.template.model.from is not built yet")
