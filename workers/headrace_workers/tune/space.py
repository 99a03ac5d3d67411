"""From `search` to one trial's choices: what is drawn, in which order, and under which conditions.

Optuna sees a choice as JSON text, so that lists, null, 1 and true stay different values. Nothing here knows the template.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Protocol

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from headrace.api.tune_job import Dimension
from headrace_workers.faults import RunFault

Chosen = Mapping[str, Any]
"""A trial's values by path; dimensions whose condition does not hold are absent."""


class Draws(Protocol):
    """The part of optuna.Trial that draws values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number from low to high."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """A whole number from low to high."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


def invalid(search: Sequence[Dimension], dimension: Dimension, why: str) -> RunFault:
    """The fault of one dimension, named as the manifest places it."""
    return RunFault("InvalidSearch", f"search[{search.index(dimension)}] ({dimension.path}): {why}")


def in_dependency_order(search: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """The dimensions with every condition's dimension before it, else as written; RunFault if that cannot be."""
    by_path = {dimension.path: dimension for dimension in search}
    for dimension in search:
        if dimension.when is None:
            continue
        other = by_path.get(dimension.when.path)
        if other is None:
            why = f"when.path {dimension.when.path} is no dimension of search; name one, or leave when out"
            raise invalid(search, dimension, why)
        if other.choice is not None and not any(_same(value, dimension.when.equals) for value in other.choice.values):
            why = f"{other.path} is never {json.dumps(dimension.when.equals)}; let when.equals be one of its choices"
            raise invalid(search, dimension, why)
    ordered: list[Dimension] = []
    waiting = list(search)
    while waiting:
        placed = {dimension.path for dimension in ordered}
        ready = [d for d in waiting if d.when is None or d.when.path in placed]
        if not ready:
            why = "its conditions form a circle; let one dimension of the circle stand without when"
            raise invalid(search, waiting[0], why)
        ordered += ready
        waiting = [d for d in waiting if d not in ready]
    return tuple(ordered)


def is_active(dimension: Dimension, chosen: Chosen) -> bool:
    """Whether the dimension's condition holds for what was chosen before it."""
    when = dimension.when
    return when is None or (when.path in chosen and _same(chosen[when.path], when.equals))


def sample(ordered: Sequence[Dimension], trial: Draws) -> dict[str, Any]:
    """One value for each active dimension, drawn in the given order."""
    chosen: dict[str, Any] = {}
    for dimension in ordered:
        if is_active(dimension, chosen):
            chosen[dimension.path] = _draw(dimension, trial)
    return chosen


def combinations(ordered: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Every different combination of the choices, the last dimension varying fastest."""
    found: dict[str, dict[str, Any]] = {}
    for values in product(*(_values(dimension) for dimension in ordered)):
        chosen: dict[str, Any] = {}
        for dimension, value in zip(ordered, values, strict=True):
            if is_active(dimension, chosen):
                chosen[dimension.path] = value
        found.setdefault(json.dumps(chosen, sort_keys=True), chosen)
    return list(found.values())


def edges(dimension: Dimension) -> tuple[Any, ...]:
    """The dimension's extreme values, or all its choices: if these fit the template, all it can draw does."""
    if dimension.choice is not None:
        return dimension.choice.values
    bounds = dimension.uniform or dimension.log_uniform or dimension.integer
    return (bounds.low, bounds.high) if bounds is not None else ()


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """The dimension in Optuna's terms."""
    if dimension.uniform is not None:
        return FloatDistribution(dimension.uniform.low, dimension.uniform.high)
    if dimension.log_uniform is not None:
        return FloatDistribution(dimension.log_uniform.low, dimension.log_uniform.high, log=True)
    if dimension.integer is not None:
        low, high, step = dimension.integer.low, dimension.integer.high, dimension.integer.step
        return IntDistribution(low, low + (high - low) // step * step, step=step)
    return CategoricalDistribution([json.dumps(value) for value in _values(dimension)])


def to_optuna(search: Sequence[Dimension], chosen: Chosen) -> dict[str, Any]:
    """A trial's values as Optuna keeps them."""
    labelled = {dimension.path for dimension in search if dimension.choice is not None}
    return {path: json.dumps(value) if path in labelled else value for path, value in chosen.items()}


def _draw(dimension: Dimension, trial: Draws) -> Any:
    match distribution_of(dimension):
        case FloatDistribution() as real:
            return trial.suggest_float(dimension.path, real.low, real.high, log=real.log)
        case IntDistribution() as whole:
            return trial.suggest_int(dimension.path, whole.low, whole.high, step=whole.step)
        case CategoricalDistribution() as labels:
            return json.loads(trial.suggest_categorical(dimension.path, labels.choices))


def _same(one: Any, other: Any) -> bool:
    """Equality as a reader of YAML means it: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _values(dimension: Dimension) -> tuple[Any, ...]:
    return dimension.choice.values if dimension.choice is not None else ()
