"""The weights that a job is pinned to start with, or why it must wait for some."""

from headrace.api.artifacts import ModelVersion, StartingWeights
from headrace.api.edits import spec_digest
from headrace.api.meta import Kind
from headrace.api.objects import InferenceEndpoint, TrainJob, TuneJob
from headrace.api.status import Phase
from headrace.plan.dependents import starts_from
from headrace.plan.run_kind import Waiting
from headrace.plan.values import Observed

FIELDS = {Kind.INFERENCE_ENDPOINT: "endpoint", Kind.TRAIN_JOB: "job", Kind.TUNE_JOB: "tuneJob"}


def find_weights(observed: Observed) -> StartingWeights | Waiting | None:
    """The version to pin: what the endpoint serves, or what the job, as it is declared now, has made."""
    job = observed.object
    assert isinstance(job, TrainJob)
    source = job.spec.model.from_
    if source is None:
        return None
    if source.uri:
        return StartingWeights(uri=source.uri)
    key = starts_from(job)
    assert key is not None
    match observed.related.get(key):
        case InferenceEndpoint() as endpoint:
            found = endpoint.status.stable
            return (
                _pin(found)
                if found
                else Waiting("WaitingForModel", f"waits for {key.kind} {key.name}, which serves no model yet")
            )
        case TrainJob() | TuneJob() as maker:
            return _made(maker)
    return Waiting(
        "ModelNotFound",
        f"waits for {key.kind} {key.name}, which does not exist; create it or correct spec.model.from.{FIELDS[key.kind]}",
        stalled=True,
    )


def _made(maker: TrainJob | TuneJob) -> StartingWeights | Waiting:
    status, name = maker.status, f"{maker.key.kind} {maker.key.name}"
    if status.phase == Phase.FAILED:
        return Waiting("ModelFailed", f"waits for {name}, which failed; repair it", stalled=True)
    if status.phase != Phase.COMPLETE or status.digest != spec_digest(maker.spec) or status.model is None:
        return Waiting("WaitingForModel", f"waits for {name} to finish")
    return _pin(status.model)


def _pin(version: ModelVersion) -> StartingWeights:
    return StartingWeights(name=version.name, uri=version.uri, digest=version.digest)
