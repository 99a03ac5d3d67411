"""What an edit does: in place, a new run, or refused."""

import pytest

from headrace.api.crds import crd
from headrace.api.edits import is_always_there, refused_edits, spec_digest, spelled, transition_rules
from headrace.api.meta import Kind
from headrace.api.objects import MODELS, TrainJob, parse_object
from headrace.api.status import Phase, TrainJobStatus
from tests.gen import train_job


def running(**spec: object) -> TrainJob:
    job = train_job(**spec)
    return job.model_copy(update={"status": TrainJobStatus(phase=Phase.RUNNING, run=1, attempt=1)})


@pytest.mark.parametrize(
    ("edit", "fields"),
    [
        ({"workers": {"min": 1, "max": 4}}, []),
        ({"suspend": True}, []),
        ({"recovery": {"maxRestarts": 9}}, []),
        ({"batchSize": 32}, ["batchSize"]),
        ({"optimizer": {"learningRate": 0.1}, "seed": 3}, ["optimizer", "seed"]),
        ({"checkpoints": {"everySteps": 7}}, ["checkpoints"]),
    ],
)
def test_edits_of_a_running_job(edit: dict, fields: list[str]) -> None:
    """On a running job, bounds and workers change in place; what changes the result or is immutable is refused by name."""
    assert [refusal.field for refusal in refused_edits(running(), train_job(**edit))] == fields


def test_a_suspended_job_may_be_edited() -> None:
    """Suspension opens what changes the result."""
    assert refused_edits(running(suspend=True), train_job(batchSize=32, suspend=True)) == []


def test_known_pods_outweigh_the_phase() -> None:
    """Where no pod is alive, a job that says Running may be edited."""
    assert refused_edits(running(), train_job(batchSize=32), running=False) == []


def test_refusals_say_what_to_do() -> None:
    """A refusal names the field and the remedy."""
    (refusal,) = refused_edits(running(), train_job(seed=1))
    assert refusal.message == "seed cannot change while the job runs; set suspend: true first, or delete the job"


def test_digest_ignores_fields_in_place() -> None:
    """The digest is of what changes the result alone."""
    assert spec_digest(train_job().spec) == spec_digest(train_job(suspend=True, ttlSecondsAfterFinished=1).spec)
    assert spec_digest(train_job().spec) != spec_digest(train_job(seed=1).spec)


def test_digest_ignores_spelled_out_defaults() -> None:
    """Writing a default out is no change, so that a new field with a default starts no new run."""
    assert spec_digest(train_job().spec) == spec_digest(train_job(seed=0, batchSize=64).spec)


def test_cel_refuses_the_same_fields() -> None:
    """Each field that local mode refuses on a running job has its CEL rule."""
    *immutable, running = transition_rules(Kind.TRAIN_JOB)
    assert {rule["fieldPath"] for rule in immutable} == {".spec.checkpoints", ".spec.queueName"}
    for field in ("optimizer", "batchSize", "model", "dataset", "steps"):
        assert f"self.spec.{field} == oldSelf.spec.{field}" in running["rule"]
        assert f"? '{field} cannot change while the job runs;" in running["messageExpression"]
    assert "workers" not in running["rule"]


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_rule_takes_for_granted_is_always_there(kind: Kind) -> None:
    """A field that CEL reads without asking is required or has a default in the schema."""
    model = MODELS[kind].model_fields["spec"].annotation
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for name in model.model_fields:
        field = spelled(model, name)
        there = field in schema.get("required", ()) or "default" in schema["properties"][field]
        assert is_always_there(model, name) == there, field


def test_objects_of_two_kinds_cannot_be_compared() -> None:
    """An object cannot become one of another kind."""
    other = parse_object(
        {"apiVersion": "headrace.dev/v1alpha1", "kind": "InferenceEndpoint", "metadata": {"name": "x"}, "spec": {}}
    )
    with pytest.raises(TypeError, match="not of one kind"):
        refused_edits(train_job(), other)
