"""RunReport: what a pod answers with, live at GET /report and at the end through its termination message.

The final report fits into Kubernetes' 4 KB termination message; the whole curve is in the run's storage.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.base import Model
from headrace.api.meta import Time
from headrace.api.run_spec import Routing

TERMINATION_MESSAGE_BYTES = 4096

TOKEN_HEADER = "Headrace-Token"  # noqa: S105
"""Holds the run's token where Authorization is the API server's, whose proxy keeps that to itself; pods take either."""

LOST_HEAD = 75
"""Exit code of a worker whose head is gone: the head's end says what follows, and the worker is not at fault."""


class ReportPhase(StrEnum):
    """How far a run is, by its own account."""

    STARTING = "Starting"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"
    INTERRUPTED = "Interrupted"


class Progress(Model):
    """How far, how fast, how long yet."""

    step: Annotated[int, Field(ge=0, description="Steps done.")] = 0
    total: Annotated[int, Field(ge=0, description="Steps in all; 0 when unknown.")] = 0
    unit: Annotated[str, Field(description="What a step is: steps, records, trials.")] = "steps"
    rate: Annotated[float, Field(ge=0.0, description="Units a second, lately.")] = 0.0
    eta_seconds: Annotated[float | None, Field(ge=0.0, description="Estimated seconds left.")] = None


class CurvePoint(Model):
    """One point of a curve."""

    step: Annotated[int, Field(ge=0, description="The step.")]
    values: Annotated[dict[str, float], Field(description="The values by name.")]


class CheckpointReference(Model):
    """The newest checkpoint that can be resumed from."""

    step: Annotated[int, Field(ge=0, description="The step it was taken at.")]
    uri: Annotated[str, Field(description="Its folder.")]


class Traffic(Model):
    """What gradients, or data, cost on the wire."""

    bytes_sent: Annotated[int, Field(ge=0, description="Bytes that one worker sent.")] = 0
    bytes_uncompressed: Annotated[int, Field(ge=0, description="Bytes it would have sent without compression.")] = 0
    encoding_seconds: Annotated[float, Field(ge=0.0, description="Time spent in encoding and decoding.")] = 0.0
    method: Annotated[str | None, Field(description="How gradients travel now, where compression is auto.")] = None
    residual_norm: Annotated[
        float | None,
        Field(
            ge=0.0,
            description="The L2 norm of what the leading worker has not sent yet of its gradients, at the curve's last point.",
        ),
    ] = None


class Straggler(Model):
    """A worker that holds the others up."""

    pod: Annotated[str, Field(description="Its pod.")]
    step_seconds: Annotated[
        float, Field(ge=0.0, description="Seconds of a step that it is busy itself, lately: waiting does not count.")
    ]
    median_step_seconds: Annotated[
        float, Field(gt=0.0, description="The median of all workers' seconds, of two the lower.")
    ]


class Hangs(Model):
    """Workers that hung in this attempt: each was ended, and another started on its pod while the others trained on."""

    count: Annotated[int, Field(ge=1, description="How many.")]
    pod: Annotated[str, Field(description="The last one's pod.")]
    why: Annotated[str, Field(description="How that was seen of the last one.")]


class RolledBack(Model):
    """A divergence of the training loss that was undone."""

    from_step: Annotated[int, Field(ge=0, description="The step at which the ranks knew of it.")]
    to_step: Annotated[
        int, Field(ge=0, description="The step of the checkpoint that they went back to; 0 is the start.")
    ]
    learning_rate: Annotated[float, Field(gt=0.0, description="The learning rate since.")]
    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", description="What diverged, in one word.")]
    message: Annotated[str, Field(max_length=512, description="What diverged, in a few words.")]

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        return f"{self.message}; training went back from step {self.from_step} to {self.to_step} and goes on with learning rate {self.learning_rate:g}"


class Records(Model):
    """Where every record went: read = written + filtered + duplicates + quarantined + late + held, not counting augmented copies."""

    read: Annotated[int, Field(ge=0, description="Records read.")] = 0
    written: Annotated[
        int,
        Field(
            ge=0, description="Records written, augmented copies not counted; of windows, the records that are in them."
        ),
    ] = 0
    augmented: Annotated[int, Field(ge=0, description="Altered copies written.")] = 0
    filtered: Annotated[int, Field(ge=0, description="Records that a filter dropped.")] = 0
    duplicates: Annotated[int, Field(ge=0, description="Records dropped as duplicates.")] = 0
    quarantined: Annotated[int, Field(ge=0, description="Bad records in the quarantine.")] = 0
    late: Annotated[int, Field(ge=0, description="Records that came too late, in the quarantine's folder late.")] = 0
    held: Annotated[int, Field(ge=0, description="Records that wait in windows which are still open.")] = 0
    replayed: Annotated[
        int,
        Field(
            ge=0,
            description="Repaired records of the quarantine that took the place of bad ones; they count as any other, too.",
        ),
    ] = 0
    dropped_windows: Annotated[
        int, Field(ge=0, description="Rows of windows that a later step dropped; the records in them count as written.")
    ] = 0


class Replay(Model):
    """What became of the repaired records that a pipeline was given."""

    given: Annotated[int, Field(ge=0, description="Repaired records that were given.")] = 0
    refused: Annotated[int, Field(ge=0, description="Those that took no bad record's place.")] = 0
    problem: Annotated[str, Field(max_length=512, description="Why the first of these did not, in a sentence.")] = ""


class StageRate(Model):
    """How fast a stage is: volume D, time T, rate R = D/T, channels S, and R/S."""

    stage: Annotated[str, Field(description="The stage.")]
    records: Annotated[int, Field(ge=0, description="Records in: of a Stream since the attempt began, D.")] = 0
    seconds: Annotated[float, Field(ge=0.0, description="Seconds in which it worked, over all channels, T.")] = 0.0
    rate: Annotated[
        float,
        Field(
            ge=0.0,
            description="Records a second over all channels, R; of a Stream lately, of a Batch since the stage began.",
        ),
    ] = 0.0
    channels: Annotated[int, Field(ge=0, description="How many work at the same time, S.")] = 1
    rate_per_channel: Annotated[float, Field(ge=0.0, description="R / S.")] = 0.0
    queued: Annotated[int, Field(ge=0, description="Records that wait for it.")] = 0


class BatchProgress(Model):
    """How fast a batch is, and how much memory it takes."""

    memory_bytes: Annotated[
        int, Field(ge=0, description="The most memory that one process of a worker took, its resident set.")
    ] = 0
    stages: Annotated[
        tuple[StageRate, ...],
        Field(max_length=8, description="How fast each stage is, or was on the whole; the last eight."),
    ] = ()


class StreamProgress(Model):
    """How far a stream is behind its source, and behind time."""

    lag: Annotated[
        int | None, Field(ge=0, description="Messages not read yet; absent when the source does not tell.")
    ] = None
    watermark: Annotated[Time | None, Field(description="What happened before has come, as far as is allowed to.")] = (
        None
    )
    commit_time: Annotated[Time | None, Field(description="The last commit.")] = None
    commits: Annotated[int, Field(ge=0, description="Commits since the stream began.")] = 0
    files: Annotated[int, Field(ge=0, description="Files of the table's newest version.")] = 0
    memory_bytes: Annotated[int, Field(ge=0, description="Memory of the head's processes, their resident set.")] = 0
    stages: Annotated[tuple[StageRate, ...], Field(max_length=8, description="How fast each stage is.")] = ()


class RaisedAlert(Model):
    """A record whose value was beyond an alert's bound."""

    alert: Annotated[str, Field(description="The alert's name.")]
    id: Annotated[str, Field(description="The same for the same record, however often it is told.")]
    time: Annotated[Time, Field(description="When it was raised.")]
    message: Annotated[str, Field(max_length=512, description="The fact in a sentence.")]


class RaisedAlerts(Model):
    """What alerts were raised."""

    count: Annotated[int, Field(ge=0, description="How many, since the stream began.")] = 0
    last: Annotated[tuple[RaisedAlert, ...], Field(max_length=5, description="The last ones, newest first.")] = ()
    undelivered: Annotated[int, Field(ge=0, description="Posts to webhooks that were given up.")] = 0
    problem: Annotated[str, Field(max_length=512, description="Why the last post was not taken, in a sentence.")] = ""


class Trials(Model):
    """The trials of a search."""

    complete: Annotated[int, Field(ge=0, description="Trials that ran to their end.")] = 0
    pruned: Annotated[int, Field(ge=0, description="Trials stopped early.")] = 0
    failed: Annotated[int, Field(ge=0, description="Trials that failed.")] = 0
    running: Annotated[int, Field(ge=0, description="Trials that run now.")] = 0


class BestTrial(Model):
    """The best trial so far."""

    number: Annotated[int, Field(ge=0, description="Its number.")]
    value: Annotated[float, Field(description="Its objective.")]
    parameters: Annotated[
        dict[str, JsonValue],
        WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        Field(description="What it chose, by path."),
    ] = {}


class Tracked(Model):
    """What became of a run in one tracker."""

    tool: Annotated[str, Field(description="The tracker, as spec.tracking names it.")]
    address: Annotated[
        str, Field(max_length=768, description="The page of the run; empty before it was found or made.")
    ] = ""
    delivered: Annotated[int, Field(ge=0, description="Points that it has, the final metrics among them.")] = 0
    undelivered: Annotated[
        int, Field(ge=0, description="Points that wait, or that were given up when the attempt ended.")
    ] = 0
    problem: Annotated[
        str, Field(max_length=512, description="What keeps points from being delivered, in a sentence.")
    ] = ""


class VersionTraffic(Model):
    """What a router saw of one model version since the router started."""

    requests: Annotated[int, Field(ge=0)] = 0
    errors: Annotated[int, Field(ge=0)] = 0
    latency_milliseconds: Annotated[
        dict[str, int], Field(description="Requests by upper bound of latency, cumulative; +Inf is all.")
    ] = {}


class RunReport(Model):
    """One report of one pod."""

    phase: ReportPhase
    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")] = "Running"
    message: Annotated[str, Field(max_length=1024)] = ""
    retryable: Annotated[
        bool,
        Field(
            description="Whether another attempt could end otherwise; false for a fault of the manifest or the data."
        ),
    ] = True
    time: Time
    run: int = 1
    attempt: int = 1
    stage: Annotated[str, Field(description="What is being done, in a word or two.")] = ""
    progress: Progress = Progress()
    metrics: dict[str, float] = {}
    curve: tuple[CurvePoint, ...] = ()
    traffic: Traffic | None = None
    records: Records | None = None
    batch: BatchProgress | None = None
    replay: Replay | None = None
    stream: StreamProgress | None = None
    alerts: RaisedAlerts | None = None
    checkpoint: CheckpointReference | None = None
    resumed_from: Annotated[int | None, Field(ge=0, description="The step that this attempt resumed from.")] = None
    workers: Annotated[int, Field(ge=0, description="Workers that take part now.")] = 0
    group_restarts: Annotated[
        int, Field(ge=0, description="How often the group of workers was formed anew in this attempt.")
    ] = 0
    elastic: Annotated[bool | None, Field(description="Whether workers may come and go while the others train on.")] = (
        None
    )
    lost_local_steps: Annotated[
        int, Field(ge=0, description="Steps that lost workers had taken alone and not shared yet.")
    ] = 0
    skipped_steps: Annotated[
        int,
        Field(
            ge=0,
            description="Steps of the run that changed nothing, because in Float16 their gradients were not finite; "
            "with local steps, those of the worker that reports.",
        ),
    ] = 0
    stragglers: Annotated[
        tuple[Straggler, ...], Field(description="Workers of an elastic group that hold the others up.")
    ] = ()
    hangs: Hangs | None = None
    roll_backs: Annotated[int, Field(ge=0, description="How often the training went back, as its loss diverged.")] = 0
    rolled_back: Annotated[RolledBack | None, Field(description="The last time that it did.")] = None
    trials: Trials | None = None
    best_trial: BestTrial | None = None
    dataset: DatasetVersion | None = None
    model: ModelVersion | None = None
    tracking: tuple[Tracked, ...] = ()
    routing: Routing | None = None
    versions: Annotated[dict[str, VersionTraffic], Field(description="A router's counts by model version.")] = {}

    def final_json(self) -> str:
        """The report as a termination message: the curve goes first if it would not fit, then metrics and rates."""
        slim = self.model_copy(update={"curve": (), "stragglers": ()})
        cuts: tuple[dict[str, Any], ...] = (
            {},
            {"metrics": {}, "batch": None},
            {"metrics": {}, "batch": None, "best_trial": None, "message": self.message[:256]},
        )
        for update in cuts:
            text = slim.model_copy(update=update).model_dump_json(
                by_alias=True, exclude_none=True, exclude_defaults=True
            )
            if len(text.encode()) <= TERMINATION_MESSAGE_BYTES:
                return text
        raise ValueError(
            f"the final report of {self.phase} is longer than {TERMINATION_MESSAGE_BYTES} bytes even without metrics"
        )
