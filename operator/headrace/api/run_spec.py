"""RunSpec: what the operator tells a pod, as JSON in a ConfigMap. Exactly one of the payloads is set."""

from typing import Annotated

from pydantic import Field

from headrace.api.artifacts import DatasetVersion, ModelVersion, StartingWeights
from headrace.api.base import Model
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.inference_endpoint import Probe
from headrace.api.meta import Kind
from headrace.api.train_job import TrainJobSpec
from headrace.api.tune_job import TuneJobSpec


class RunIdentity(Model):
    """Which run of which object a pod belongs to."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    run: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1)]
    digest: Annotated[str, Field(description="Digest of the fields of the spec that change the result.")]


class RunSpec(Model):
    """What the head of a run needs to know; addresses, ports and the token come by the environment."""

    identity: RunIdentity
    storage: Annotated[
        str, Field(description="URI of the run's own folder: checkpoints/, curve.jsonl, events/, report.json.")
    ]
    publish: Annotated[
        str,
        Field(description="URI of the folder in which finished versions appear: the table, or the folder of models."),
    ]
    min_workers: Annotated[int, Field(ge=1)] = 1
    max_workers: Annotated[int, Field(ge=1)] = 1
    dataset: Annotated[DatasetVersion | None, Field(description="The pinned version that a job learns from.")] = None
    started_from: Annotated[
        StartingWeights | None, Field(description="The pinned weights that a TrainJob starts with.")
    ] = None
    pipeline: DataPipelineSpec | None = None
    train: TrainJobSpec | None = None
    tune: TuneJobSpec | None = None


class ServeSpec(Model):
    """What a server of one model version needs to know."""

    endpoint: str
    model: ModelVersion


class RouterSpec(Model):
    """What a router needs to know before it is told its backends (PUT /backends)."""

    endpoint: str


class ProbeSpec(Model):
    """What sends held-out requests through the router."""

    endpoint: str
    dataset: DatasetVersion
    features: str | None = None
    target: Annotated[str, Field(description="The column that should be answered; empty, none is.")] = "label"
    probe: Probe


class Backend(Model):
    """One model version behind the router."""

    version: str
    weight: Annotated[int, Field(ge=0, le=100)]
    endpoints: Annotated[tuple[str, ...], Field(description="host:port of its ready servers.")] = ()


class Routing(Model):
    """The router's whole table; what PUT /backends takes and GET /report answers."""

    backends: tuple[Backend, ...] = ()
