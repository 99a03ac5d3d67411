"""Publishing a model version: an immutable folder that exists once its model.json does. Doing it twice changes nothing.

It copies bytes from the newest checkpoint and never loads the network.
"""

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion, StartingWeights
from headrace.api.run_report import CurvePoint
from headrace.api.run_spec import RunIdentity
from headrace.api.train_job import ModelSource, TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.model_version import MODEL, WEIGHTS, ModelDocument, file_digest, version_digest
from headrace_workers.storage import Folder
from headrace_workers.train import checkpoints as checkpoint_files
from headrace_workers.train.checkpoints import Checkpoints
from headrace_workers.train.example import example_instance
from headrace_workers.train.fitted import load_preprocessing
from headrace_workers.train.picture import loss_picture


def version_name(run: RunIdentity) -> str:
    """The name of the version that a run makes."""
    return f"{run.name}-{run.uid[:5]}-r{run.run}"


def published_version(run: RunIdentity, models: Folder) -> ModelVersion | None:
    """The run's version, if it was published before."""
    folder = models.sub(version_name(run))
    return read_version(folder) if folder.exists(MODEL) else None


def read_version(folder: Folder) -> ModelVersion:
    """What a finished folder says of itself."""
    document = ModelDocument.model_validate_json(folder.read(MODEL))
    return ModelVersion(**{name: getattr(document, name) for name in ModelVersion.model_fields})


def publish_model(
    run: RunIdentity,
    spec: TrainJobSpec,
    dataset: DatasetVersion,
    *,
    models: Folder,
    checkpoints: Folder,
    metrics: Mapping[str, float],
    trial: int | None = None,
    started_from: StartingWeights | None = None,
) -> ModelVersion:
    """Publishes the newest checkpoint under `models` as <name>-<uid[:5]>-r<run>, or returns what was published before."""
    if earlier := published_version(run, models):
        return earlier
    name = version_name(run)
    checkpoint = Checkpoints(checkpoints).newest()
    if checkpoint is None:
        raise RunFault(
            "CheckpointMissing",
            f"there is no whole checkpoint in {checkpoints.uri} to publish as {name}; run the job again",
            retryable=True,
        )
    folder, data = models.sub(name), checkpoint.state.data
    # The classes, shape and column that this network was trained with, whatever the pipeline's defaults were.
    fitted = load_preprocessing(dataset).model_copy(update=dict(data))
    fitted.save(folder)
    has_adapters = checkpoint_files.MERGED in checkpoint.state.files
    weights = checkpoint_files.MERGED if has_adapters else checkpoint_files.WEIGHTS
    folder.write(WEIGHTS, checkpoint.folder.read(weights))
    folder.write("curve.jsonl", curve_lines(checkpoint.state.curve))
    folder.write("loss.png", loss_picture(name, checkpoint.state.curve))
    files = {
        file: file_digest(folder.read(file))
        for file in folder.names()
        if file != MODEL and not file.endswith(".partial")
    }
    document = ModelDocument(
        name=name,
        uri=folder.uri,
        digest=version_digest(files, spec.model.source, data.features, data.target, data.shape, data.classes),
        metrics=dict(metrics),
        split=spec.evaluation.split,
        dataset=dataset,
        job=JobReference(kind=run.kind, name=run.name, uid=run.uid, run=run.run),
        trial=trial,
        started_from=started_from,
        code_digest=code_digest(spec.model.source),
        created_at=datetime.now(UTC),
        source=spec.model.source,
        features=data.features,
        target=data.target,
        shape=data.shape,
        classes=data.classes,
        example=example_instance(dataset, spec.evaluation.split, data.features, fitted),
        files=files,
    )
    folder.write(MODEL, document.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode())
    return read_version(folder)


def curve_lines(curve: tuple[CurvePoint, ...]) -> bytes:
    """The curve as JSON lines, one point a line."""
    return "".join(json.dumps({"step": point.step, **point.values}) + "\n" for point in curve).encode()


def code_digest(source: ModelSource) -> str:
    """The digest of the code that trains: this package's files, and the user's module where there is one."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    if source.module and (found := importlib.util.find_spec(source.module.partition(":")[0])) and found.origin:
        files.append(Path(found.origin))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()}"
