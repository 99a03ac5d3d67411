"""What the operator writes into .status: decisions first, then what was seen.

Counters and deadlines live here and nowhere else, so that a restart of the operator forgets nothing.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.artifacts import DatasetVersion, ModelVersion, StartingWeights
from headrace.api.base import Model
from headrace.api.meta import Condition, Time
from headrace.api.recurrence import ScheduleStatus
from headrace.api.run_report import (
    BatchProgress,
    BestTrial,
    CheckpointReference,
    CurvePoint,
    Progress,
    RaisedAlerts,
    Records,
    Replay,
    RolledBack,
    Straggler,
    StreamProgress,
    Tracked,
    Traffic,
    Trials,
)


class Phase(StrEnum):
    """Where a run is."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


FINISHED = frozenset({Phase.COMPLETE, Phase.FAILED})
ACTIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.SUSPENDING})


class Incident(Model):
    """Something that disturbed a run, and what was done."""

    time: Annotated[Time, Field(description="When it was decided upon.")]
    attempt: Annotated[int, Field(ge=1, description="The attempt that was disturbed.")]
    reason: Annotated[str, Field(description="The fact in one word.")]
    message: Annotated[str, Field(max_length=1024, description="The fact in a sentence.")]


class WorkersStatus(Model):
    """The workers of a run."""

    desired: Annotated[int, Field(ge=0, description="How many there should be.")] = 0
    ready: Annotated[int, Field(ge=0, description="How many run.")] = 0
    selector: Annotated[str, Field(description="The label selector of the pods, for kubectl scale.")] = ""


class RunStatus(Model):
    """The status of the three kinds that run to an end."""

    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the spec that this status is about.")
    ] = 0
    phase: Annotated[Phase, Field(description="Where the run is.")] = Phase.PENDING
    run: Annotated[
        int, Field(ge=0, description="Which run this is; an edit that changes the result starts another.")
    ] = 0
    attempt: Annotated[int, Field(ge=0, description="Which attempt of the run.")] = 0
    restarts: Annotated[int, Field(ge=0, description="Failures that this run has survived.")] = 0
    disruptions: Annotated[int, Field(ge=0, description="Node losses and evictions that this run has survived.")] = 0
    releases: Annotated[
        int,
        Field(ge=0, description="How often in a row the run gave its pods back, as there was no room for workers.min."),
    ] = 0
    hangs: Annotated[
        int,
        Field(ge=0, description="Workers of this attempt that hung, each of which was ended and started anew."),
    ] = 0
    digest: Annotated[str, Field(description="Digest of the fields of the spec that this run was started with.")] = ""
    lost_pods: Annotated[
        tuple[str, ...],
        Field(max_length=200, description="UIDs of lost worker pods that have been counted; the last 200."),
    ] = ()
    retry_at: Annotated[Time | None, Field(description="When the next attempt may start.")] = None
    start_time: Annotated[Time | None, Field(description="When the run first had its pods made.")] = None
    attempt_time: Annotated[
        Time | None, Field(description="When this attempt had its pods made; absent while it has none.")
    ] = None
    active_seconds: Annotated[float, Field(ge=0, description="How long the run was active before this attempt.")] = 0.0
    completion_time: Annotated[Time | None, Field(description="When the run finished.")] = None
    progress_time: Annotated[Time | None, Field(description="When the run last got further.")] = None
    report_time: Annotated[Time | None, Field(description="When the report was made that this status shows.")] = None
    input: Annotated[DatasetVersion | None, Field(description="The dataset version that the run is pinned to.")] = None
    storage: Annotated[str, Field(description="The run's folder.")] = ""
    stage: Annotated[str, Field(description="What is being done.")] = ""
    workers: Annotated[WorkersStatus, Field(description="The workers.")] = WorkersStatus()
    progress: Annotated[Progress | None, Field(description="How far the run is.")] = None
    percent: Annotated[int | None, Field(ge=0, le=100, description="How far the run is, in percent.")] = None
    metrics: Annotated[dict[str, float], Field(description="The last metrics.")] = {}
    curve: Annotated[
        tuple[CurvePoint, ...], Field(description="The curve, thinned; the whole one is in the run's storage.")
    ] = ()
    traffic: Annotated[Traffic | None, Field(description="What gradients cost on the wire.")] = None
    checkpoint: Annotated[CheckpointReference | None, Field(description="The newest checkpoint.")] = None
    incidents: Annotated[
        tuple[Incident, ...], Field(max_length=10, description="The last things that disturbed the run.")
    ] = ()
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, description="What holds now.")] = ()


class StreamScale(Model):
    """How many workers a Stream has, as the operator chose by how far it is behind."""

    workers: Annotated[int, Field(ge=1, description="How many.")]
    time: Annotated[Time, Field(description="When that was chosen.")]


class DataPipelineStatus(RunStatus):
    """The status of a DataPipeline."""

    scale: Annotated[
        StreamScale | None, Field(description="How many workers a Stream has, where workers.desired does not say.")
    ] = None
    schedule: Annotated[ScheduleStatus | None, Field(description="Where the schedule is.")] = None
    dataset: Annotated[DatasetVersion | None, Field(description="The newest finished version.")] = None
    records: Annotated[Records | None, Field(description="Where every record went.")] = None
    batch: Annotated[BatchProgress | None, Field(description="How fast a Batch is, or was.")] = None
    replay: Annotated[Replay | None, Field(description="What became of repaired records.")] = None
    stream: Annotated[StreamProgress | None, Field(description="How far a Stream is.")] = None
    alerts: Annotated[RaisedAlerts | None, Field(description="What alerts a Stream raised.")] = None


class TrainJobStatus(RunStatus):
    """The status of a TrainJob."""

    started_from: Annotated[
        StartingWeights | None, Field(description="The weights that the run is pinned to start with.")
    ] = None
    model: Annotated[ModelVersion | None, Field(description="The model version of the last complete run.")] = None
    stragglers: Annotated[
        tuple[Straggler, ...],
        Field(
            description="Workers that hold the others up; in the groups of Ray Train, which the condition Elastic tells of, nobody measures that."
        ),
    ] = ()
    roll_backs: Annotated[
        int, Field(ge=0, description="How often the run went back to a checkpoint, as its loss diverged.")
    ] = 0
    rolled_back: Annotated[RolledBack | None, Field(description="The last time that it did.")] = None
    tracking: Annotated[
        tuple[Tracked, ...] | None, Field(max_length=2, description="What became of the run in each tracker.")
    ] = None


class TuneJobStatus(RunStatus):
    """The status of a TuneJob."""

    model: Annotated[
        ModelVersion | None, Field(description="The best trial's model version of the last complete run.")
    ] = None
    trials: Annotated[Trials | None, Field(description="The trials.")] = None
    best_trial: Annotated[BestTrial | None, Field(description="The best trial so far.")] = None


class EndpointPhase(StrEnum):
    """Where an endpoint is."""

    WAITING = "Waiting"
    STARTING = "Starting"
    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SUSPENDED = "Suspended"


class Verdict(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    INCONCLUSIVE = "Inconclusive"
    SUPERSEDED = "Superseded"


class RolloutRecord(Model):
    """A rollout that ended."""

    version: Annotated[str, Field(description="The candidate.")]
    verdict: Annotated[Verdict, Field(description="How it ended.")]
    message: Annotated[str, Field(max_length=1024, description="Why.")]
    time: Annotated[Time, Field(description="When.")]


class Baseline(Model):
    """A version's counts when a step began; what came since is judged."""

    requests: int = 0
    errors: int = 0
    latency_milliseconds: dict[str, int] = {}


class RolloutStatus(Model):
    """A rollout that is under way."""

    candidate: Annotated[ModelVersion, Field(description="The version that may take over.")]
    step: Annotated[int, Field(ge=-1, description="The step of the canary; -1 before any traffic.")] = -1
    weight: Annotated[int, Field(ge=0, le=100, description="The candidate's share of the traffic, in percent.")] = 0
    start_time: Annotated[Time, Field(description="When the rollout started.")]
    step_time: Annotated[Time | None, Field(description="When the routers took the step's weight.")] = None
    baseline: Annotated[Baseline | None, Field(description="The candidate's counts when the step began.")] = None


class VersionStatus(Model):
    """What a version's servers do."""

    version: Annotated[str, Field(description="The model version.")]
    weight: Annotated[int, Field(ge=0, le=100, description="Its share of the traffic, in percent.")] = 0
    ready: Annotated[int, Field(ge=0, description="Servers that are ready.")] = 0


class InferenceEndpointStatus(Model):
    """The status of an InferenceEndpoint."""

    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the spec that this status is about.")
    ] = 0
    phase: Annotated[EndpointPhase, Field(description="Where the endpoint is.")] = EndpointPhase.WAITING
    url: Annotated[str, Field(description="Where to post requests.")] = ""
    stable: Annotated[ModelVersion | None, Field(description="The version that serves.")] = None
    rollout: Annotated[RolloutStatus | None, Field(description="The rollout under way.")] = None
    versions: Annotated[
        tuple[VersionStatus, ...], Field(max_length=4, description="The versions that have servers.")
    ] = ()
    history: Annotated[
        tuple[RolloutRecord, ...], Field(max_length=20, description="The last rollouts that ended, newest first.")
    ] = ()
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16, description="What holds now.")] = ()
