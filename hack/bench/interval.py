"""Means of few measurements with their confidence, and whether a bound is excluded."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for 95 %, by the number of measurements."""


@dataclass(frozen=True)
class Interval:
    """A mean and the half of its 95 % confidence interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Interval":
        """From measurements; of one alone nothing is known but itself."""
        if len(figures) < 2 or not all(map(math.isfinite, figures)):
            return cls(statistics.mean(figures), 0.0)
        spread = statistics.stdev(figures) / math.sqrt(len(figures))
        return cls(statistics.mean(figures), STUDENT[min(len(figures), 10)] * spread)

    def __str__(self) -> str:
        return f"{self.mean:.3g} ± {self.half:.2g}"


class Judge:
    """Prints figures beside their bounds; one is missed only where its whole interval lies on the wrong side."""

    def __init__(self) -> None:
        self.missed = False

    def at_least(self, what: str, figure: Interval, bound: float) -> None:
        self._say(what, figure, f"at least {bound:g}", figure.mean + figure.half < bound)

    def at_most(self, what: str, figure: Interval, bound: float) -> None:
        self._say(what, figure, f"at most {bound:g}", figure.mean - figure.half > bound)

    def _say(self, what: str, figure: Interval, bound: str, missed: bool) -> None:
        self.missed |= missed
        print(f"{'MISSED ' if missed else ''}{what}: {figure}, {bound}", flush=True)
