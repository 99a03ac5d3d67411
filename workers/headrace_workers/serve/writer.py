"""A model version that writes text: raw beginnings are answered with what follows.

One token after another, each from all that fit before it, with nothing kept between two: for small models.
"""

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, ValidationError

from headrace.api.base import Model
from headrace_workers.model_version import ModelDocument
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.serve.instances import BadInstance, InputSchema
from headrace_workers.tokenizing import END, PADDING, RESERVED, Tokenizing

MOST_INSTANCES = 8
"""Instances of one request: each may take as many passes through the model as it has new tokens."""
NEVER_WRITTEN = [number for number in range(len(RESERVED)) if number != END]


class Wish(Model):
    """How a text is to go on."""

    max_tokens: Annotated[int, Field(ge=1, le=512, description="The most tokens that are written.")] = 64
    temperature: Annotated[
        float, Field(ge=0.0, le=10.0, description="What scores are divided by before one is drawn; 0 takes the best.")
    ] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Where what is drawn starts.")] = 0


class Writer:
    """Answers raw beginnings with one model version."""

    def __init__(
        self, document: ModelDocument, preprocessing: Preprocessing, tokenizing: Tokenizing, module: torch.nn.Module
    ) -> None:
        """Takes a module with its weights loaded."""
        self.document = document
        self.schema = InputSchema(tokenizing.column, None, whole=True, most=MOST_INSTANCES)
        self._preprocessing, self._tokenizing, self._module = preprocessing, tokenizing, module.eval()

    def warm(self) -> None:
        """Writes one token, so that the first user does not pay for what is set up lazily."""
        self.predict([{self.schema.features: "", "maxTokens": 1}])

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        """For each instance the text that follows, of how many tokens it is, and whether the model ended it."""
        try:
            texts = self._preprocessing.texts(instances)
        except ValueError as error:
            raise BadInstance(str(error)) from error
        wishes = [self._wish(place, instance) for place, instance in enumerate(instances)]
        return [self._written(text, wish) for text, wish in zip(texts, wishes, strict=True)]

    def _wish(self, place: int, instance: Any) -> Wish:
        fields = instance if isinstance(instance, dict) else {}
        try:
            return Wish.model_validate({name: each for name, each in fields.items() if name != self.schema.features})
        except ValidationError as error:
            first = error.errors()[0]
            allowed = ", ".join(info.alias or name for name, info in Wish.model_fields.items())
            raise BadInstance(
                f"instance {place}: {'.'.join(map(str, first['loc']))}: {first['msg']}; beside {self.schema.features} it may have {allowed}"
            ) from error

    def _written(self, text: str, wish: Wish) -> dict[str, Any]:
        ids = self._tokenizing.opened(text)
        start, random = len(ids), np.random.default_rng(wish.seed)
        ended = False
        while len(ids) < start + wish.max_tokens and not ended:
            scores = self._scores(ids[-self._tokenizing.max_tokens :])
            ids.append(_chosen(scores, wish.temperature, random))
            ended = ids[-1] == END
        written = ids[start:]
        return {"text": self._tokenizing.decoded(written), "tokens": len(written), "ended": ended}

    def _scores(self, ids: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What may come next: (vocabulary,) scores."""
        # As long as those that it learnt from: a user's own network may know no other length.
        row = torch.full((1, self._tokenizing.max_tokens), PADDING)
        row[0, : len(ids)] = torch.tensor(ids)
        with torch.inference_mode():
            scores = self._module(row)[0, len(ids) - 1].double().numpy().copy()
        if not np.isfinite(scores).all():
            raise ArithmeticError(f"model version {self.document.name} answered with numbers that are not finite")
        scores[NEVER_WRITTEN] = -np.inf
        return scores


def _chosen(scores: np.ndarray[Any, np.dtype[np.float64]], temperature: float, random: np.random.Generator) -> int:
    if temperature == 0.0:
        return int(scores.argmax())
    shares = np.exp((scores - scores.max()) / temperature)
    return int(random.choice(len(scores), p=shares / shares.sum()))
