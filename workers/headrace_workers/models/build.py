"""From `model:` of a spec to a network, the same for training and serving."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import ValidationError

from headrace.api.base import Model
from headrace.api.train_job import Builtin, ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.models.image_classifier import ImageClassifierParameters, image_classifier
from headrace_workers.models.language_model import language_model
from headrace_workers.models.perceptron import PerceptronParameters, perceptron
from headrace_workers.models.text_classifier import TextClassifierParameters, text_classifier
from headrace_workers.models.text_transformer import text_transformer
from headrace_workers.models.transformer import TransformerParameters
from headrace_workers.models.user_module import build_user_module

OF_NUMBERS: dict[Builtin, tuple[type[Model], Callable[[Any, tuple[int, ...], int], torch.nn.Module]]] = {
    Builtin.PERCEPTRON: (PerceptronParameters, perceptron),
    Builtin.IMAGE_CLASSIFIER: (ImageClassifierParameters, image_classifier),
}
OF_TOKENS: dict[Builtin, tuple[type[Model], Callable[[Any, int, int, int], torch.nn.Module]]] = {
    Builtin.TEXT_CLASSIFIER: (TextClassifierParameters, text_classifier),
    Builtin.TEXT_TRANSFORMER: (TransformerParameters, text_transformer),
    Builtin.LANGUAGE_MODEL: (TransformerParameters, language_model),
}


def build_network(
    source: ModelSource, shape: tuple[int, ...], outputs: int, vocabulary: int | None = None
) -> torch.nn.Module:
    """A network that takes inputs (n, *shape), float32 or int64 token ids below `vocabulary`, and answers (n, outputs).

    One that writes text answers (n, *shape, outputs). RunFault says what the spec got wrong.
    """
    if source.builtin is None:
        return build_user_module(str(source.module), source.parameters)
    if source.builtin in OF_NUMBERS:
        if vocabulary is not None:
            message = f"builtin {source.builtin} takes numbers, the dataset's inputs are token ids; use {', '.join(OF_TOKENS)}, or correct dataset.features"
            raise RunFault("InvalidModelParameters", message)
        kind, build = OF_NUMBERS[source.builtin]
        return build(_checked(kind, source), shape, outputs)
    if vocabulary is None:
        message = f"builtin {source.builtin} takes token ids, the dataset's inputs are numbers; put a tokenize step into the pipeline, or use {', '.join(OF_NUMBERS)}"
        raise RunFault("InvalidModelParameters", message)
    kind, build_of_tokens = OF_TOKENS[source.builtin]
    return build_of_tokens(_checked(kind, source), shape[0], vocabulary, outputs)


def _checked(kind: type[Model], source: ModelSource) -> Model:
    try:
        return kind.model_validate(source.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("model.parameters", *(str(part) for part in first["loc"])))
        allowed = ", ".join(info.alias or name for name, info in kind.model_fields.items())
        message = f"{field} of {source.builtin}: {first['msg']}. Its parameters are {allowed}"
        raise RunFault("InvalidModelParameters", message) from error
