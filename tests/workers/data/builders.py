"""Small pipelines for the tests of this folder."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.api.artifacts import DatasetVersion
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.meta import Kind
from headrace.api.run_spec import RunIdentity
from headrace_workers.data import engine, sink
from headrace_workers.data.spread import Spread, in_process
from headrace_workers.storage import Folder

DIGITS_STEPS: list[dict[str, Any]] = [
    {"validate": {"columns": [{"name": "image", "min": 0, "max": 16, "length": 64}]}},
    {"split": {"trainFraction": 0.8}},
    {"scale": {"column": "image"}},
    {"deduplicate": {"exact": {}}},
    {"augment": {"image": {"shiftPixels": 1, "rotateDegrees": 10, "noise": 0.05}}},
]


def pipeline(source: dict[str, Any], *steps: dict[str, Any], **more: Any) -> DataPipelineSpec:
    """A pipeline of a source and steps."""
    return DataPipelineSpec.model_validate({"source": source, "steps": steps, "sink": {"delta": {}}, **more})


def digits() -> DataPipelineSpec:
    """The sample of handwritten digits through five steps."""
    return pipeline({"sample": {"name": "Digits"}}, *DIGITS_STEPS)


def files(folder: Path, file_format: str) -> dict[str, Any]:
    """A source of all files of a folder."""
    return {"files": {"uri": f"file:{folder}", "format": file_format}}


def identity(run: int = 1) -> RunIdentity:
    """A run of the pipeline `digits`."""
    return RunIdentity(
        kind=Kind.DATA_PIPELINE, namespace="default", name="digits", uid="uid-1", run=run, attempt=1, digest="d"
    )


def prepare(spec: DataPipelineSpec, storage: Path, spread: Spread = in_process) -> engine.Prepared:
    """The pipeline's records, prepared in this process."""
    return engine.prepare(engine.planned(spec), Folder(f"file:{storage}"), spread, lambda *_: None)


def table_of(prepared: engine.Prepared) -> pa.Table:
    """All prepared records."""
    return pa.Table.from_batches(prepared.batches(), prepared.schema)


def version_of(spec: DataPipelineSpec, folder: Path) -> DatasetVersion:
    """The dataset version that the pipeline makes in a folder, with what was fitted for it."""
    plan, storage, uri = engine.planned(spec), Folder(f"file:{folder}/pipeline"), f"file:{folder}/table"
    prepared = engine.prepare(plan, storage, in_process, lambda *_: None)
    prepared.preprocessing.save(storage.sub("artifacts"))
    made = sink.commit(uri, identity(), plan.key, prepared)
    return DatasetVersion(
        uri=uri, version=made.version, digest=made.digest, records=made.records.written, splits=made.splits,
        artifacts=storage.sub("artifacts").uri,
    )  # fmt: skip
