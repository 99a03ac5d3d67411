"""A model version's folder: what training publishes and serving loads, told in one place so that neither side drifts.

The digest covers everything that decides an answer: the files and how the module is rebuilt. model.json is written last
and makes the version visible. Nothing here may unpickle, or import torch: readers choose how weights are loaded.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from headrace.api.artifacts import ModelVersion, StartingWeights
from headrace.api.train_job import ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

MODEL = "model.json"
WEIGHTS = "weights.safetensors"
PREPROCESSING = "preprocessing.json"


class ModelDocument(ModelVersion):
    """model.json: the version, and what rebuilds its module. Fields of a later release pass by."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    source: Annotated[ModelSource, Field(description="The builtin model or the user's module, with its parameters.")]
    features: Annotated[str, Field(description="The input column.")]
    target: Annotated[str, Field(description="The predicted column.")]
    shape: Annotated[tuple[int, ...] | None, Field(description="The shape of one input.")] = None
    classes: Annotated[
        tuple[JsonValue, ...] | None, Field(description="The labels in the order of the outputs; none for a number.")
    ] = None
    example: Annotated[JsonValue, Field(description="A raw instance that it answers, to try it with.")] = None
    files: Annotated[dict[str, str], Field(description="SHA-256 of each file of the folder but model.json.")] = {}

    @property
    def predicts_itself(self) -> bool:
        """Whether it learnt to go on with its input: it writes text."""
        return self.target == self.features


def file_digest(data: bytes) -> str:
    """SHA-256 of one file, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def version_digest(
    files: dict[str, str],
    source: ModelSource,
    features: str,
    target: str,
    shape: tuple[int, ...] | None,
    classes: tuple[JsonValue, ...] | None,
) -> str:
    """The digest of a version: over its files' digests and all that rebuilds its module."""
    decides: dict[str, Any] = {
        "files": files,
        "source": source.wire(),
        "features": features,
        "target": target,
        "shape": shape,
        "classes": classes,
    }
    return "sha256:" + hashlib.sha256(json.dumps(decides, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class ModelFolder:
    """One finished version, checked against its digest: its document and where its files are."""

    document: ModelDocument
    folder: Folder

    @classmethod
    def open(cls, version: ModelVersion | StartingWeights) -> "ModelFolder":
        """Reads model.json; RunFault if it is missing, unreadable or not what `version` promised."""
        folder = Folder(version.uri)
        try:
            document = ModelDocument.model_validate_json(folder.read(MODEL))
        except FileNotFoundError as error:
            message = f"model version {version.name} has no {MODEL} in {version.uri}: was the folder moved or deleted? Train it again"
            raise RunFault("ModelVersionMissing", message) from error
        except ValidationError as error:
            message = f"{MODEL} of model version {version.name} in {version.uri} cannot be read: {error.errors()[0]['msg']}. Train it again"
            raise RunFault("ModelVersionUnreadable", message) from error
        found = version_digest(
            document.files, document.source, document.features, document.target, document.shape, document.classes
        )
        if found != version.digest:
            message = f"model version {version.name} in {version.uri} has digest {found}, promised was {version.digest}: its files were altered. Train it again"
            raise RunFault("DigestMismatch", message)
        return cls(document, folder)

    def read(self, name: str) -> bytes:
        """The bytes of a file of the version, checked; RunFault if they are not those that were published."""
        if name not in self.document.files:
            raise RunFault(
                "ModelVersionUnreadable",
                f"model version {self.document.name} lists no {name} in its {MODEL}. Train it again",
            )
        try:
            data = self.folder.read(name)
        except FileNotFoundError as error:
            raise RunFault(
                "ModelVersionMissing",
                f"model version {self.document.name} has lost {name} from {self.folder.uri}. Train it again",
            ) from error
        if file_digest(data) != self.document.files[name]:
            message = f"{name} of model version {self.document.name} in {self.folder.uri} is not the file that was published. Train it again"
            raise RunFault("DigestMismatch", message)
        return data
