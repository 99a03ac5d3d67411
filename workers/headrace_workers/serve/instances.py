"""The body of POST /predict, read strictly: whatever is wrong is said in a sentence that names the instance.

An instance is a raw record, as users have it: the bare input, or an object with the input column in it. Scaling and the
like come later and are never the user's business.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INSTANCES_MAX = 1024
"""Instances in one request."""
BODY_BYTES_MAX = 8 * 1024 * 1024


class BadInstance(ValueError):
    """The request is not one that the model can answer; the text says why."""


@dataclass(frozen=True)
class InputSchema:
    """What one instance looks like: the input column, and the shape of its numbers (None: passed on as it is).

    With `whole` an object is passed on with all its fields. A request may have at most `most` instances.
    """

    features: str
    shape: tuple[int, ...] | None
    whole: bool = False
    most: int = INSTANCES_MAX


def parse_instances(body: bytes, schema: InputSchema) -> list[Any]:
    """The instances of a request: arrays of float64 of the schema's shape, or what was sent where there is no shape."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInstance(f'the body is not JSON ({error}): send {{"instances": [...]}}') from error
    if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
        raise BadInstance('the body has no list of instances: send {"instances": [...]}')
    instances = document["instances"]
    if not instances:
        raise BadInstance("instances is empty: send at least one")
    if len(instances) > schema.most:
        raise BadInstance(
            f"{len(instances)} instances are more than the {schema.most} that one request may have: send several requests"
        )
    return [_instance(place, instance, schema) for place, instance in enumerate(instances)]


def _instance(place: int, instance: Any, schema: InputSchema) -> Any:
    if isinstance(instance, dict):
        if schema.features not in instance:
            raise BadInstance(
                f"instance {place} has no field {schema.features}: send the bare {schema.features}, or an object with that field"
            )
        instance = instance if schema.whole else instance[schema.features]
    return instance if schema.shape is None else _numbers(place, instance, schema.shape)


def _numbers(place: int, instance: Any, shape: Sequence[int]) -> NDArray[np.float64]:
    size = int(np.prod(shape))
    wanted = f"{'x'.join(map(str, shape))} numbers" if len(shape) > 1 else f"{size} numbers"
    try:
        array = np.asarray(instance)
    except ValueError as error:
        raise BadInstance(f"instance {place} is a list of uneven lists: the model takes {wanted}") from error
    if array.dtype.kind not in "iuf":
        raise BadInstance(f"instance {place} is not made of numbers: the model takes {wanted}")
    if array.shape not in (tuple(shape), (size,)):
        found = "x".join(map(str, array.shape)) or "a single number"
        raise BadInstance(
            f"instance {place} has the shape {found}: the model takes {wanted}, nested or in one flat list"
        )
    numbers = array.astype(np.float64).reshape(shape)
    if not np.isfinite(numbers).all():
        raise BadInstance(f"instance {place} has numbers that are not finite: the model takes {wanted}")
    return numbers
