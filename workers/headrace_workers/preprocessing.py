"""What was fitted on the training data and must be done to every raw input: the one place where it is applied.

The pipeline applies it to the table and writes it beside the table; training copies it into the model version; serving
applies it to requests. All three go through `Scaling.scaled`, `Tokenizing.encoded`, `normalized` and what is in `media`, so
that they can never differ. It must never import ray or torch, and pyarrow only where there is text: a server of numbers
needs numpy alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from headrace.api.base import Model, OneOf
from headrace.api.media import DecodeImage, DecodeSound, SoundFeatures
from headrace.api.steps import NormalizeText
from headrace_workers.media.decoding import Decoding, received, sendable
from headrace_workers.media.forms import IMAGE, SOUND
from headrace_workers.storage import Folder
from headrace_workers.tokenizing import Tokenizing

FILE = "preprocessing.json"

Numbers = float | tuple[float, ...]


class Scaling(Model):
    """A column's values become (value - offset) / divisor, element by element."""

    column: str
    method: str
    offset: Numbers
    divisor: Numbers

    def scaled(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Values of shape (n,) or (n, elements), scaled in float64."""
        scaled: np.ndarray[Any, Any] = (values.astype(np.float64) - np.asarray(self.offset)) / np.asarray(self.divisor)
        return scaled

    def unscaled(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What `scaled` was given, to within rounding."""
        raw: np.ndarray[Any, Any] = values.astype(np.float64) * np.asarray(self.divisor) + np.asarray(self.offset)
        return raw


class FittedStep(OneOf):
    """One fitted step, in the order of the pipeline."""

    scale: Scaling | None = None
    normalize_text: NormalizeText | None = None
    tokenize: Tokenizing | None = None
    decode_sound: DecodeSound | None = None
    sound_features: SoundFeatures | None = None
    decode_image: DecodeImage | None = None


class Preprocessing(Model):
    """How raw inputs become what the model was trained on."""

    features: Annotated[str, Field(description="The input column; empty when the table has none that is known.")] = ""
    target: str = "label"
    shape: Annotated[tuple[int, ...] | None, Field(description="The shape of one input; absent, a flat list.")] = None
    classes: Annotated[
        tuple[int | str, ...] | None, Field(description="The target's values, sorted; absent, it has no classes.")
    ] = None
    steps: tuple[FittedStep, ...] = ()

    @classmethod
    def load(cls, folder: Folder) -> "Preprocessing":
        """Reads preprocessing.json of a folder; FileNotFoundError if there is none."""
        return cls.model_validate_json(folder.read(FILE))

    def save(self, folder: Folder) -> None:
        """Writes preprocessing.json into a folder."""
        folder.write(FILE, self.model_dump_json(by_alias=True).encode())

    @property
    def tokenizing(self) -> Tokenizing | None:
        """What makes the input column of texts; none where inputs are numbers."""
        steps = (step.tokenize for step in self.steps)
        return next((each for each in steps if each and each.into == self.features), None)

    @property
    def decoding(self) -> Decoding | None:
        """What makes the input column of encoded bytes; none where users send what stands in it."""
        wanted, features = self.features, None
        for step in reversed(self.steps):
            if step.sound_features and step.sound_features.into == wanted:
                wanted, features = step.sound_features.column, step.sound_features
            decode = step.decode_sound or step.decode_image
            if decode and decode.into == wanted:
                return Decoding(decode, features)
        return None

    @property
    def raw(self) -> str:
        """The column that users send: the input column, or the text or the encoded bytes that it is made of."""
        if self.decoding:
            return self.decoding.decode.column
        return self.tokenizing.column if self.tokenizing else self.features

    def sendable(self, values: Sequence[Any]) -> list[Any]:
        """Values of the table's column `raw` as users send them."""
        if self.decoding:
            return [sendable(content) for content in values]
        sent: list[Any] = list(values) if self.tokenizing else self.inverse(values).tolist()
        return sent

    def apply(self, instances: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float32 | np.int64]]:
        """Raw instances (bare, or objects that hold them under `raw`) as float32 (n, *shape), texts as int64 token ids.

        What is decoded is base64. ValueError names the first instance that does not fit.
        """
        if self.tokenizing:
            return self.tokenizing.padded(self.tokenizing.encoded(self.texts(instances)))
        if self.decoding:
            instances = [self._decoded(index, instance, self.decoding) for index, instance in enumerate(instances)]
        rows = [self._numbers(index, instance) for index, instance in enumerate(instances)]
        values = np.stack(rows) if rows else np.zeros((0, self._expected_length() or 0))
        for step in self.steps:
            if step.scale and step.scale.column == self.features:
                values = step.scale.scaled(values)
        shape = (len(rows), *self.shape) if self.shape else values.shape
        return values.astype(np.float32).reshape(shape)

    def texts(self, instances: Sequence[Any]) -> list[str]:
        """Raw texts (bare, or objects that hold them under `raw`) as they are before they become tokens."""
        texts = [self._text(index, instance) for index, instance in enumerate(instances)]
        for step in self.steps:
            if step.normalize_text and step.normalize_text.column == self.raw:
                texts = _normalized(texts, step.normalize_text)
            if step.tokenize and step.tokenize == self.tokenizing:
                break
        return texts

    def inverse(self, values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The raw instances behind values of the table (nested or flat), as float64 (n, *shape): what a user would send."""
        rows = [self._numbers(index, value) for index, value in enumerate(values)]
        raw = np.stack(rows) if rows else np.zeros((0, self._expected_length() or 0))
        for step in reversed(self.steps):
            if step.scale and step.scale.column == self.features:
                raw = step.scale.unscaled(raw)
        return raw.reshape((len(rows), *self.shape) if self.shape else raw.shape)

    def _expected_length(self) -> int | None:
        if self.shape:
            return math.prod(self.shape)
        offsets = (step.scale.offset for step in self.steps if step.scale and step.scale.column == self.features)
        return next((len(offset) for offset in offsets if isinstance(offset, tuple)), None)

    def _bare(self, index: int, instance: Any) -> Any:
        if not isinstance(instance, Mapping):
            return instance
        if self.raw not in instance:
            raise ValueError(
                f"instance {index} has no field {self.raw}; it has {', '.join(map(str, sorted(instance)))}"
            )
        return instance[self.raw]

    def _text(self, index: int, instance: Any) -> str:
        text = self._bare(index, instance)
        if not isinstance(text, str):
            raise ValueError(f"instance {index} is not a text; send {self.raw} as a string")  # noqa: TRY004 (as for numbers)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"instance {index} holds half of a character, which no text may; send whole characters"
            ) from None
        return text

    def _decoded(self, index: int, instance: Any, decoding: Decoding) -> np.ndarray[Any, np.dtype[np.float32]]:
        sent = self._bare(index, instance)
        try:
            return decoding.numbers(received(sent))
        except ValueError as error:
            known = SOUND if isinstance(decoding.decode, DecodeSound) else IMAGE
            raise ValueError(f"instance {index} {error}; send {self.raw} as the base64 of a file of {known}") from None

    def _numbers(self, index: int, instance: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        instance = self._bare(index, instance)
        try:
            row = np.asarray(instance, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise ValueError(
                f"instance {index} is not a list of numbers; send {self.features or 'the input'} as numbers"
            ) from None
        if not np.isfinite(row).all():
            raise ValueError(f"instance {index} holds a value that is missing or not finite; send finite numbers")
        expected = self._expected_length()
        if expected is not None and len(row) != expected:
            raise ValueError(
                f"instance {index} holds {len(row)} numbers where {self.features or 'the input'} has {expected}"
            )
        return row


def _normalized(texts: list[str], settings: NormalizeText) -> list[str]:
    import pyarrow as pa

    from headrace_workers.normalizing import normalized

    return [str(text) for text in normalized(pa.chunked_array([texts], pa.string()), settings).to_pylist()]
