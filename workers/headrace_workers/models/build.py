"""From `model:` of a spec to a network, the same for training and serving."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import ValidationError

from headrace.api.base import Model
from headrace.api.train_job import Builtin, ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.models.image_classifier import ImageClassifierParameters, image_classifier
from headrace_workers.models.perceptron import PerceptronParameters, perceptron
from headrace_workers.models.user_module import build_user_module

BUILTINS: dict[Builtin, tuple[type[Model], Callable[[Any, tuple[int, ...], int], torch.nn.Module]]] = {
    Builtin.PERCEPTRON: (PerceptronParameters, perceptron),
    Builtin.IMAGE_CLASSIFIER: (ImageClassifierParameters, image_classifier),
}


def build_network(source: ModelSource, shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
    """A network that takes float32 inputs (n, *shape) and answers (n, outputs); RunFault says what the spec got wrong."""
    if source.builtin is None:
        return build_user_module(str(source.module), source.parameters)
    if source.builtin not in BUILTINS:
        known = ", ".join(BUILTINS)
        raise RunFault(
            "NotSupported",
            f"model.builtin {source.builtin} is not in this release; use {known}, or model.module for your own",
        )
    parameters, build = BUILTINS[source.builtin]
    try:
        checked = parameters.model_validate(source.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        allowed = ", ".join(info.alias or name for name, info in parameters.model_fields.items())
        message = f"model.parameters.{field} of {source.builtin}: {first['msg']}. Its parameters are {allowed}"
        raise RunFault("InvalidModelParameters", message) from error
    return build(checked, shape, outputs)
