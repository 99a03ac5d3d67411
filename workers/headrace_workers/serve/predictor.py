"""A model version in memory, ready to answer. Of serving, this and what writes text import torch.

Weights are safetensors: nothing that is loaded is unpickled.
"""

from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from headrace.api.artifacts import ModelVersion
from headrace_workers.faults import RunFault
from headrace_workers.model_version import PREPROCESSING, WEIGHTS, ModelDocument, ModelFolder
from headrace_workers.models import build_network
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.serve.instances import BadInstance, InputSchema
from headrace_workers.serve.writer import Writer


class Predictor:
    """Answers raw instances with one model version."""

    def __init__(self, document: ModelDocument, preprocessing: Preprocessing, module: torch.nn.Module) -> None:
        """Takes a module with its weights loaded."""
        self.document = document
        made = preprocessing.tokenizing or preprocessing.decoding
        self.schema = InputSchema(preprocessing.raw, None) if made else InputSchema(document.features, document.shape)
        self._preprocessing = preprocessing
        self._module = module.eval()

    def warm(self) -> None:
        """Answers one made-up instance, so that the first user does not pay for what is set up lazily."""
        decoding = self._preprocessing.decoding
        nothing = decoding.nothing() if decoding else ""
        self.predict([np.zeros(self.schema.shape) if self.schema.shape is not None else nothing])

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        """The label and the probabilities of each instance, or its value where the model predicts a number."""
        try:
            inputs = self._preprocessing.apply(instances)
        except ValueError as error:
            raise BadInstance(str(error)) from error
        if not np.isfinite(inputs).all():
            raise BadInstance("an instance has numbers too large for the model: send values like those it learnt from")
        with torch.inference_mode():
            outputs = self._module(torch.from_numpy(inputs)).float()
        if not bool(torch.isfinite(outputs).all()):
            raise ArithmeticError(f"model version {self.document.name} answered with numbers that are not finite")
        if self.document.classes is None:
            return [{"value": value} for value in outputs.reshape(len(instances)).tolist()]
        probabilities = torch.softmax(outputs, dim=-1)
        labels = [self.document.classes[place] for place in probabilities.argmax(dim=-1).tolist()]
        return [
            {"label": label, "probabilities": row} for label, row in zip(labels, probabilities.tolist(), strict=True)
        ]


def load_predictor(version: ModelVersion) -> Predictor | Writer:
    """Reads, checks and rebuilds a model version; RunFault says what is wrong with its folder."""
    torch.set_num_threads(1)
    published = ModelFolder.open(version)
    document = published.document
    preprocessing = Preprocessing.model_validate_json(published.read(PREPROCESSING))
    tokenizing = preprocessing.tokenizing
    writes = tokenizing if document.predicts_itself else None
    vocabulary = tokenizing.vocabulary if tokenizing else None
    outputs = writes.vocabulary if writes else len(document.classes or (0,))
    module = build_network(document.source, document.shape or (), outputs, vocabulary)
    try:
        module.load_state_dict(load(published.read(WEIGHTS)))
    except (RuntimeError, SafetensorError) as error:
        message = f"{WEIGHTS} of model version {version.name} in {version.uri} does not fit the model {document.source.wire()}: {error}"[
            :1000
        ]
        raise RunFault("WeightsDoNotFit", message) from error
    if writes:
        return Writer(document, preprocessing, writes, module)
    return Predictor(document, preprocessing, module)
