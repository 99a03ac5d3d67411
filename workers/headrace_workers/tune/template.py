"""From a trial's choices to the TrainJob spec that it trains, checked by the same rules as a manifest.

Only what changes a trial's result may be searched: a field that a trial does not look at would make the search lie.
"""

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from headrace.api.base import Edit, edit_of
from headrace.api.train_job import TrainJobSpec
from headrace.api.tune_job import Dimension
from headrace_workers.faults import RunFault
from headrace_workers.tune.space import Chosen, edges, invalid

FIXED = (
    "dataset.pipeline", "dataset.table", "dataset.version", "evaluation", "pods", "podTemplate", "queueName",
    "compile", "microBatchSize", "activationCheckpointing",
)  # fmt: skip
"""Fields that are the same for all trials: the data and the measure, where pods run, or how a result is come to."""


def apply(template: TrainJobSpec, chosen: Chosen) -> TrainJobSpec:
    """The template with each path (camelCase, dots between) set; RunFault("InvalidSearch") names what does not fit."""
    wire = copy.deepcopy(template.wire())
    for path, value in chosen.items():
        _set(wire, path, value)
    try:
        return TrainJobSpec.model_validate(wire)
    except ValidationError as error:
        raise RunFault("InvalidSearch", f"a trial with {_written(chosen)}: {_first(error)}") from error


def check(template: TrainJobSpec, ordered: Sequence[Dimension], search: Sequence[Dimension]) -> None:
    """Raises RunFault for the first dimension whose path or values do not fit, before any trial has cost time.

    `ordered` has every condition's dimension first, so that a value is tried together with those it depends on.
    """
    context: dict[str, dict[str, Any]] = {}
    for dimension in ordered:
        if fixed := _why_fixed(dimension.path):
            raise invalid(search, dimension, fixed)
        when = dimension.when
        context[dimension.path] = {} if when is None else {**context[when.path], when.path: when.equals}
        for value in edges(dimension):
            try:
                apply(template, {**context[dimension.path], dimension.path: value})
            except RunFault as fault:
                raise invalid(search, dimension, fault.message) from fault


def _why_fixed(path: str) -> str:
    for fixed in FIXED:
        if path == fixed or path.startswith(f"{fixed}."):
            return f"{fixed} is the same for every trial; write it in template"
    field = path.split(".", maxsplit=1)[0]
    python_name = next(
        (name for name, info in TrainJobSpec.model_fields.items() if (info.alias or name) == field), None
    )
    if python_name is None:
        known = ", ".join(sorted(info.alias or name for name, info in TrainJobSpec.model_fields.items()))
        return f"template has no field {field}; it has {known}"
    if edit_of(TrainJobSpec, python_name) is not Edit.NEW_RUN:
        return f"{field} does not change what a trial learns; write it in template"
    return ""


def _set(wire: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place = wire
    for depth, name in enumerate(parents):
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise RunFault("InvalidSearch", f"{path}: {'.'.join(parents[: depth + 1])} is a value and has no fields")
    place[last] = value


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"template has no field {place}"
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def _written(chosen: Chosen) -> str:
    return ", ".join(f"{path} = {value!r}" for path, value in chosen.items())
