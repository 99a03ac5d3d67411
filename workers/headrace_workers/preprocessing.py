"""What was fitted on the training data and must be done to every raw input: the one place where it is applied.

The pipeline applies it to the table and writes it beside the table; training copies it into the model version; serving
applies it to requests. All three go through `Scaling.scaled`, so that they can never differ. It must never import ray,
torch or pyarrow: a server needs numpy alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from headrace.api.base import Model, OneOf
from headrace_workers.storage import Folder

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

    def apply(self, instances: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Raw instances (numbers, nested or flat, or objects that hold them under `features`) as float32 (n, *shape).

        ValueError names the first instance that does not fit.
        """
        rows = [self._numbers(index, instance) for index, instance in enumerate(instances)]
        values = np.stack(rows) if rows else np.zeros((0, self._expected_length() or 0))
        for step in self.steps:
            if step.scale and step.scale.column == self.features:
                values = step.scale.scaled(values)
        shape = (len(rows), *self.shape) if self.shape else values.shape
        return values.astype(np.float32).reshape(shape)

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

    def _numbers(self, index: int, instance: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        if isinstance(instance, Mapping):
            if self.features not in instance:
                raise ValueError(
                    f"instance {index} has no field {self.features}; it has {', '.join(map(str, sorted(instance)))}"
                )
            instance = instance[self.features]
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
