"""A model version's folder: read only as it was published."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import Kind
from headrace.api.train_job import Builtin, ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.model_version import ModelDocument, ModelFolder, file_digest, version_digest


def publish(folder: Path) -> ModelVersion:
    """A version whose only file is weights."""
    source, files = ModelSource(builtin=Builtin.PERCEPTRON), {"weights.safetensors": file_digest(b"weights")}
    document = ModelDocument(
        name="digits-1a2b3-r1",
        uri=folder.as_uri(),
        digest=version_digest(files, source, "image", "label", (8, 8), (0, 1)),
        dataset=DatasetVersion(uri="file:///lake/digits", version=0, digest="d"),
        job=JobReference(kind=Kind.TRAIN_JOB, name="digits", uid="1a2b3", run=1),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        source=source,
        features="image",
        target="label",
        shape=(8, 8),
        classes=(0, 1),
        files=files,
    )
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "model.json").write_text(document.model_dump_json(by_alias=True))
    return ModelVersion.model_validate({field: getattr(document, field) for field in ModelVersion.model_fields})


def altered(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes model.json in place."""

    def change_document(folder: Path) -> None:
        document = json.loads((folder / "model.json").read_text())
        change(document)
        (folder / "model.json").write_text(json.dumps(document))

    return change_document


def test_what_was_published_is_read(tmp_path: Path) -> None:
    """An untouched version opens and gives its files."""
    published = ModelFolder.open(publish(tmp_path))
    assert published.document.classes == (0, 1)
    assert published.read("weights.safetensors") == b"weights"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"others"), "DigestMismatch"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "ModelVersionMissing"),
        (lambda folder: (folder / "model.json").unlink(), "ModelVersionMissing"),
        (lambda folder: (folder / "model.json").write_text("{"), "ModelVersionUnreadable"),
        (
            altered(lambda document: document.update(source={"module": "evil:build", "parameters": {}})),
            "DigestMismatch",
        ),
        (altered(lambda document: document.update(classes=[1, 0])), "DigestMismatch"),
        (
            altered(lambda document: document["files"].update({"weights.safetensors": file_digest(b"others")})),
            "DigestMismatch",
        ),
    ],
)
def test_a_damaged_version_is_refused(tmp_path: Path, damage: Callable[[Path], object], reason: str) -> None:
    """Lost or altered files, and an altered way to rebuild the module, are faults, even where model.json agrees with itself."""
    version = publish(tmp_path)
    damage(tmp_path)
    with pytest.raises(RunFault) as caught:
        ModelFolder.open(version).read("weights.safetensors")
    assert caught.value.reason == reason


def test_fields_of_a_later_release_pass_by(tmp_path: Path) -> None:
    """A model.json with fields that this release does not know still opens."""
    version = publish(tmp_path)
    altered(lambda document: document.update(novelty=1))(tmp_path)
    assert ModelFolder.open(version).document.name == version.name
