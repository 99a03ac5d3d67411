"""Which custom resources look at which others: read by every port, to know what to observe and whom to wake."""

from collections.abc import Iterable

from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint, Job, TrainJob, TuneJob
from headrace.api.train_job import Dataset


def offers_to(job: Job) -> ObjectKey | None:
    """The endpoint that a job offers its model to."""
    if job.spec.rollout is None:
        return None
    return ObjectKey(kind=Kind.INFERENCE_ENDPOINT, namespace=job.metadata.namespace, name=job.spec.rollout.endpoint)


def dataset_of(job: Job) -> Dataset:
    """What a job learns from, as its spec says."""
    return job.spec.template.dataset if isinstance(job, TuneJob) else job.spec.dataset


def writes_text(job: Job) -> bool:
    """Whether a job's model predicts the next token, and no column."""
    spec = job.spec.template if isinstance(job, TuneJob) else job.spec
    return spec.loss.next_token is not None


def learns_from(job: Job) -> ObjectKey | None:
    """The pipeline whose table a job learns from."""
    dataset = dataset_of(job)
    if dataset.pipeline is None:
        return None
    return ObjectKey(kind=Kind.DATA_PIPELINE, namespace=job.metadata.namespace, name=dataset.pipeline)


def starts_from(job: Job) -> ObjectKey | None:
    """The job or endpoint whose weights a job starts with."""
    source = job.spec.model.from_ if isinstance(job, TrainJob) else None
    if source is None:
        return None
    names = {Kind.INFERENCE_ENDPOINT: source.endpoint, Kind.TRAIN_JOB: source.job, Kind.TUNE_JOB: source.tune_job}
    return next(
        (ObjectKey(kind=kind, namespace=job.metadata.namespace, name=name) for kind, name in names.items() if name),
        None,
    )


def looks_at(watcher: HeadraceObject, other: HeadraceObject) -> bool:
    """Whether the first one's plan depends on the second one."""
    if isinstance(watcher, TrainJob | TuneJob):
        return other.key in (learns_from(watcher), starts_from(watcher))
    if isinstance(watcher, InferenceEndpoint):
        return isinstance(other, TrainJob | TuneJob) and offers_to(other) == watcher.key
    return False


def related(watcher: HeadraceObject, everything: Iterable[HeadraceObject]) -> dict[ObjectKey, HeadraceObject]:
    """The objects that the watcher's plan depends on, by key."""
    return {other.key: other for other in everything if looks_at(watcher, other)}


def woken_by(changed: HeadraceObject, everything: Iterable[HeadraceObject]) -> set[ObjectKey]:
    """The keys to look at when an object changed: its own and its watchers'."""
    return {changed.key} | {watcher.key for watcher in everything if looks_at(watcher, changed)}
