"""The four custom resources as whole objects: metadata, spec, status."""

from typing import Any, Literal

from headrace.api.base import Model
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.inference_endpoint import InferenceEndpointSpec
from headrace.api.meta import API_VERSION, Kind, ObjectKey, ObjectMeta
from headrace.api.status import DataPipelineStatus, InferenceEndpointStatus, TrainJobStatus, TuneJobStatus
from headrace.api.train_job import TrainJobSpec
from headrace.api.tune_job import TuneJobSpec


class CustomResource(Model):
    """What the four kinds share."""

    api_version: Literal["headrace.dev/v1alpha1"] = API_VERSION
    metadata: ObjectMeta

    @property
    def key(self) -> ObjectKey:
        """The object's name."""
        return ObjectKey(kind=Kind(type(self).__name__), namespace=self.metadata.namespace, name=self.metadata.name)


class DataPipeline(CustomResource):
    """Where data comes from, the steps it passes, the lake it lands in."""

    kind: Literal["DataPipeline"] = "DataPipeline"
    spec: DataPipelineSpec
    status: DataPipelineStatus = DataPipelineStatus()


class TrainJob(CustomResource):
    """A model, a dataset, how many workers, how gradients travel."""

    kind: Literal["TrainJob"] = "TrainJob"
    spec: TrainJobSpec
    status: TrainJobStatus = TrainJobStatus()


class TuneJob(CustomResource):
    """A search around a TrainJob's spec."""

    kind: Literal["TuneJob"] = "TuneJob"
    spec: TuneJobSpec
    status: TuneJobStatus = TuneJobStatus()


class InferenceEndpoint(CustomResource):
    """A stable name, which model versions may take its traffic, and on what evidence."""

    kind: Literal["InferenceEndpoint"] = "InferenceEndpoint"
    spec: InferenceEndpointSpec
    status: InferenceEndpointStatus = InferenceEndpointStatus()


Job = TrainJob | TuneJob
RunObject = DataPipeline | TrainJob | TuneJob
HeadraceObject = DataPipeline | TrainJob | TuneJob | InferenceEndpoint

MODELS: dict[Kind, type[DataPipeline] | type[TrainJob] | type[TuneJob] | type[InferenceEndpoint]] = {
    Kind.DATA_PIPELINE: DataPipeline,
    Kind.TRAIN_JOB: TrainJob,
    Kind.TUNE_JOB: TuneJob,
    Kind.INFERENCE_ENDPOINT: InferenceEndpoint,
}


def parse_object(raw: dict[str, Any]) -> HeadraceObject:
    """The typed object of a manifest or an API object; KeyError for another kind, ValidationError for a bad one."""
    return MODELS[Kind(raw["kind"])].model_validate(raw)
