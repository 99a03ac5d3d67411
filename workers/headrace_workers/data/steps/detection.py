"""Scores of how unusual a number is among the last ones before it: how much of their normal distribution is nearer to its mean.

What is remembered are those last values, and every score is computed of them alone. Scorers that add what comes and take
back what goes, as river's rolling GaussianScorer, drift: started anew from the same values they differ in the last bits.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.api.windows import Detect
from headrace_workers.data.steps.numbers import is_number
from headrace_workers.data.steps.step import column_of, with_column
from headrace_workers.faults import RunFault

Key = tuple[Any, ...]
State = list[tuple[list[Any], list[float]]]


class Detection:
    """The last values of each group, and the scores of those that follow."""

    def __init__(self, detect: Detect, state: State | None = None) -> None:
        """Begins with nothing, or with what `state` was taken of."""
        self._detect = detect
        self._last = {tuple(key): deque(values, maxlen=detect.gaussian.last) for key, values in state or ()}

    def scored(self, table: pa.Table, place: str) -> pa.Table:
        """The table, in its order, with the column of scores; a missing number has none, and counts for nothing.

        RunFault where a column is not there, or holds no numbers.
        """
        column = column_of(table, self._detect.column, place).combine_chunks()
        if not is_number(column.type) and not pa.types.is_null(column.type):
            raise RunFault(
                "WrongColumnType",
                f"{place} needs numbers in the column {self._detect.column}, which holds {column.type}",
            )
        values = column.cast(pa.float64()).to_pylist()
        groups = [column_of(table, name, place).to_pylist() for name in self._detect.by]
        keys: Iterator[Key] = zip(*groups, strict=True) if groups else iter([()] * table.num_rows)
        scores = [self._score(key, value) for key, value in zip(keys, values, strict=True)]
        return with_column(table, self._detect.into, pa.array(scores, pa.float64()))

    def _score(self, key: Key, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        gaussian = self._detect.gaussian
        last = self._last.setdefault(key, deque(maxlen=gaussian.last))
        score = _share_nearer(np.fromiter(last, float, len(last)), value) if len(last) >= gaussian.at_least else 0.0
        last.append(value)
        return score

    def state(self) -> State:
        """Each group with its last values, as JSON has it."""
        return [(list(key), list(values)) for key, values in self._last.items()]


def _share_nearer(last: np.ndarray, value: float) -> float:
    distance, deviation = abs(value - last.mean()), last.std(ddof=1)
    if deviation == 0:
        return float(distance > 0)
    return math.erf(distance / (deviation * math.sqrt(2)))
