"""The dataset version that a job is pinned to, or why it must wait for one."""

from headrace.api.artifacts import DatasetVersion
from headrace.api.edits import spec_digest
from headrace.api.objects import DataPipeline, TrainJob, TuneJob
from headrace.api.status import Phase
from headrace.plan.dependents import dataset_of, learns_from
from headrace.plan.run_kind import Waiting
from headrace.plan.stream_scale import is_stream
from headrace.plan.values import Observed


def find_input(observed: Observed) -> DatasetVersion | Waiting | None:
    """The version to pin: the one asked for, or the newest that the pipeline, as it is declared now, has finished."""
    job = observed.object
    assert isinstance(job, TrainJob | TuneJob)
    dataset = dataset_of(job)
    if dataset.table:
        return DatasetVersion(uri=dataset.table.uri, version=dataset.table.version or 0, digest="")
    key = learns_from(job)
    pipeline = observed.related.get(key) if key else None
    if not isinstance(pipeline, DataPipeline):
        return Waiting(
            "DatasetNotFound",
            f"waits for DataPipeline {dataset.pipeline}, which does not exist; create it or correct spec.dataset.pipeline",
            stalled=True,
        )
    status = pipeline.status
    if dataset.version != "Latest":
        return _named(pipeline, int(dataset.version))
    if status.phase == Phase.FAILED:
        return Waiting(
            "DatasetFailed", f"waits for DataPipeline {dataset.pipeline}, which failed; repair it", stalled=True
        )
    if is_stream(pipeline.spec):
        return _grown(pipeline)
    if status.phase != Phase.COMPLETE or status.digest != spec_digest(pipeline.spec) or status.dataset is None:
        return Waiting("WaitingForDataset", f"waits for DataPipeline {dataset.pipeline} to finish")
    return status.dataset


def _grown(pipeline: DataPipeline) -> DatasetVersion | Waiting:
    """What a stream, as it is declared now, has written so far."""
    status = pipeline.status
    if status.dataset is None or not status.dataset.records or status.digest != spec_digest(pipeline.spec):
        return Waiting("WaitingForDataset", f"waits for the first records of DataPipeline {pipeline.metadata.name}")
    return status.dataset


def _named(pipeline: DataPipeline, version: int) -> DatasetVersion | Waiting:
    newest = pipeline.status.dataset
    if newest is None or version > newest.version:
        return Waiting("WaitingForDataset", f"waits for version {version} of DataPipeline {pipeline.metadata.name}")
    return (
        newest
        if version == newest.version
        else newest.model_copy(update={"version": version, "digest": "", "records": 0, "splits": {}})
    )
