"""The weights that a run starts with: found once by the head, read by every rank.

They are a model version, checked against its digest, or safetensors of any origin. Nothing is unpickled.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from headrace.api.artifacts import StartingWeights
from headrace.api.base import Model
from headrace.api.train_job import ModelSource, StartingModel
from headrace_workers.faults import RunFault
from headrace_workers.model_version import MODEL, WEIGHTS, ModelDocument, ModelFolder
from headrace_workers.storage import Folder

# torch is imported where tensors are touched: the head has no use for it.
if TYPE_CHECKING:
    import torch

START = "start.json"
SUFFIX = ".safetensors"


class Start(Model):
    """start.json of a run's folder: later attempts start with the same, and do without it once there is a checkpoint."""

    weights: Annotated[StartingWeights, Field(description="The weights, with their digest.")]
    source: Annotated[ModelSource | None, Field(description="What the version says of its network.")] = None


def find_start(pinned: StartingWeights, storage: Folder) -> Start:
    """What the run starts with, as its first attempt found it; RunFault if there is nothing, or not what was pinned."""
    if storage.exists(START):
        return Start.model_validate_json(storage.read(START))
    start = _version(pinned) if pinned.name or _is_version(pinned) else _plain(pinned)
    storage.write(START, start.model_dump_json(by_alias=True, exclude_none=True).encode())
    return start


def completed(model: StartingModel, start: Start) -> StartingModel:
    """The model with what the version says of it where the spec leaves that out; RunFault if nobody says it."""
    if model.builtin or model.module:
        return model
    source = start.source
    if source is None:
        message = f"{start.weights.uri} has no {MODEL} to say what network its weights are of; set model.builtin or model.module"
        raise RunFault("ModelUnknown", message)
    parameters = {**source.parameters, **model.parameters}
    return model.model_copy(update={"builtin": source.builtin, "module": source.module, "parameters": parameters})


def load_weights(weights: StartingWeights) -> "dict[str, torch.Tensor]":
    """The tensors by name, on the CPU; RunFault if they are no longer what the head found."""
    import safetensors.torch

    if weights.name:
        files = {WEIGHTS: ModelFolder.open(weights).read(WEIGHTS)}
    else:
        files = _files(weights.uri)
        if _digest(files) != weights.digest:
            message = f"the weights in {weights.uri} are not those that the run started with; put them back, or start another run"
            raise RunFault("DigestMismatch", message)
    tensors: dict[str, torch.Tensor] = {}
    for name, data in files.items():
        try:
            found = safetensors.torch.load(data)
        except safetensors.SafetensorError as error:
            message = (
                f"{name} of {weights.uri} is not safetensors ({error}); convert it: pickled weights are never read"
            )
            raise RunFault("WeightsUnreadable", message) from error
        if twice := sorted(found.keys() & tensors.keys()):
            message = f"{twice[0]} is in {name} of {weights.uri} and in another file; leave one of them there"
            raise RunFault("WeightsUnreadable", message)
        tensors |= found
    return tensors


def described(weights: StartingWeights) -> str:
    """The weights as messages name them."""
    return f"model version {weights.name}" if weights.name else weights.uri


def _is_version(weights: StartingWeights) -> bool:
    return not weights.uri.endswith(SUFFIX) and Folder(weights.uri).exists(MODEL)


def _version(pinned: StartingWeights) -> Start:
    """A version by its name and digest, or as a folder says of itself."""
    if not pinned.name:
        try:
            document = ModelDocument.model_validate_json(Folder(pinned.uri).read(MODEL))
        except ValidationError as error:
            message = f"{MODEL} in {pinned.uri} cannot be read: {error.errors()[0]['msg']}; correct model.from.uri"
            raise RunFault("ModelVersionUnreadable", message) from error
        # Where it lies now: a folder may have been copied since it said where it is.
        pinned = StartingWeights(name=document.name, uri=pinned.uri, digest=document.digest)
    return Start(weights=pinned, source=ModelFolder.open(pinned).document.source)


def _plain(pinned: StartingWeights) -> Start:
    return Start(weights=pinned.model_copy(update={"digest": _digest(_files(pinned.uri))}))


def _files(uri: str) -> dict[str, bytes]:
    """The safetensors of a file or of a folder, by name."""
    place, _, file = uri.rpartition("/") if uri.endswith(SUFFIX) else (uri, "", "")
    folder = Folder(place)
    names = [name for name in ([file] if file else folder.names()) if name.endswith(SUFFIX)]
    try:
        files = {name: folder.read(name) for name in names}
    except FileNotFoundError:
        files = {}
    if not files:
        raise RunFault("WeightsMissing", f"there is neither a {MODEL} nor safetensors in {uri}; correct model.from.uri")
    return files


def _digest(files: dict[str, bytes]) -> str:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return "sha256:" + hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
