"""What the API can say and this version cannot do yet: told in one sentence before any pod is made."""

from headrace.api.data_pipeline import DataPipelineSpec, Mode
from headrace.api.objects import DataPipeline, HeadraceObject, RunObject, TrainJob, TuneJob
from headrace.api.steps import Entity
from headrace.api.train_job import Strategy, TrainJobSpec
from headrace.api.tune_job import TuneJobSpec
from headrace.plan.dependents import starts_from

SOURCES = frozenset({"files", "sample", "sql"})
STREAM_SOURCES = frozenset({"kafka"})
STEPS = frozenset(
    {
        "validate_",
        "fill_missing",
        "normalize_text",
        "filter",
        "deduplicate",
        "redact",
        "hash",
        "encrypt",
        "scale",
        "tokenize",
        "decode_sound",
        "sound_features",
        "decode_image",
        "split",
        "augment",
        "window",
        "detect",
    }
)
STREAM_STEPS = STEPS - {"scale", "tokenize", "augment", "decode_sound", "sound_features", "decode_image"}
SINKS = frozenset({"delta", "parquet"})
STREAM_SINKS = frozenset({"delta"})
ALGORITHMS = frozenset({"random", "grid", "tpe", "gaussian_process", "cma_es", "genetic"})


def missing_support(resource: HeadraceObject) -> str | None:
    """The first thing that the object asks for and this version lacks, as a sentence that starts with its field; None if there is none."""
    if isinstance(resource, RunObject) and resource.spec.queue_name:
        return "spec.queueName is not built yet: no pod would wait for Kueue; remove it, or have spec.gang hold the pods together"
    match resource:
        case DataPipeline():
            return _pipeline(resource.spec)
        case TrainJob():
            if starts_from(resource) == resource.key:
                return "spec.model.from.job is the job itself, which would wait for its own end; name another, or the uri of a version that it made"
            return _train(resource.spec, "spec")
        case TuneJob():
            return _tune(resource.spec)
    return None


def _pipeline(spec: DataPipelineSpec) -> str | None:
    is_stream = spec.mode == Mode.STREAM
    if spec.source.chosen not in (STREAM_SOURCES if is_stream else SOURCES):
        return f"spec.source.{spec.source.chosen_field} is not built yet for mode {spec.mode}; use {'kafka' if is_stream else 'files, sample or sql'}"
    if spec.sink.chosen not in (STREAM_SINKS if is_stream else SINKS):
        return f"spec.sink.{spec.sink.chosen_field} is not built yet{' for mode Stream; use delta' if is_stream else '; use delta or parquet'}"
    deduplicates = [place for place, step in enumerate(spec.steps) if step.deduplicate]
    for place, step in enumerate(spec.steps):
        if step.chosen not in (STREAM_STEPS if is_stream else STEPS):
            return f"spec.steps[{place}].{step.chosen_field} is not built yet{' for mode Stream' if is_stream else ''}; remove the step"
        if is_stream and step.deduplicate and step.deduplicate.near:
            return f"spec.steps[{place}].deduplicate.near is not built yet for mode Stream; use deduplicate.exact"
        if is_stream and place in deduplicates[1:]:
            return f"spec.steps[{place}] is the second deduplicate, which is not built yet for mode Stream; name all columns in one"
        if is_stream and step.window and any(later > place for later in deduplicates):
            return f"spec.steps[{place}].window before a deduplicate is not built yet for mode Stream; put deduplicate before it"
        if step.redact and Entity.PERSON in step.redact.entities:
            return f"spec.steps[{place}].redact.entities Person is not built yet: names have no form to be known by; remove it, or hash or encrypt a column that holds them"
        if step.augment and step.augment.text and step.augment.text.synonyms:
            return f"spec.steps[{place}].augment.text.synonyms is not built yet: this version has no dictionary; remove it, or use dropWords, swapWords or typingErrors"
    return None


def _train(spec: TrainJobSpec, path: str) -> str | None:
    if spec.parallelism.strategy != Strategy.DATA_PARALLEL:
        return f"{path}.parallelism.strategy {spec.parallelism.strategy} is not built yet; use DataParallel"
    if spec.dataset.table and spec.dataset.table.version is None:
        return f"{path}.dataset.table needs a version in this release; write table.version"
    return None


def _tune(spec: TuneJobSpec) -> str | None:
    if spec.algorithm.chosen not in ALGORITHMS:
        return f"spec.algorithm.{spec.algorithm.chosen_field} is not built yet; use tpe"
    if spec.template.workers.max > 1:
        return "spec.template.workers.max above 1 is not built yet: a trial runs in one worker; set it to 1"
    if spec.template.model.from_:
        return "spec.template.model.from is not built yet: trials start anew; remove it"
    if spec.template.trigger:
        return "spec.template.trigger is not built yet: a search does not run again by itself; remove it"
    if spec.template.tracking:
        return "spec.template.tracking is not built yet: trials are not tracked; remove it"
    return _train(spec.template, "spec.template")
