"""Which workers hold the others up: those whose ranks are busy with a step for longer than the others' are.

Each step takes as long as its slowest rank. What counts is the time that a rank is busy itself (own_time.py): one that waits
for others is not slow, and neither is one with a slow network. Nobody is blamed for a moment, nor forgiven for one.
"""

from collections.abc import Collection, Mapping
from statistics import median, median_low

from headrace.api.run_report import Straggler

WINDOW_SECONDS = 10.0
FEWEST_TALKS = 5
"""A window is as long as both say: the middle of what was told in it counts, so that a single pause does not."""
CALM_WINDOWS = 3
"""A straggler is none once it has kept up for so many windows in a row."""
LEAST_SHARE = 0.1
"""One that makes steps longer by less than this share of them is not worth naming."""
MOST_TOLD = 20
"""Of more than that the slowest are told."""


def slow_pods(
    busy: Mapping[str, float], step_seconds: float, factor: float, known: Collection[str] = ()
) -> frozenset[str]:
    """The pods that are busy with a step for more than `factor` times the median; `busy` has the seconds of each.

    Of two in the middle the lower is the median: of two pods the faster is the measure. Pods that are `known` to be slow
    still are until they have come half way back to the median.
    """
    middle = median_low(busy.values())

    def is_slow(pod: str) -> bool:
        if pod in known:
            return busy[pod] > (1 + factor) / 2 * middle
        return busy[pod] > factor * middle and busy[pod] - middle > LEAST_SHARE * step_seconds

    return frozenset(pod for pod in busy if is_slow(pod))


class Stragglers:
    """Who straggles, judged once a window. A window is of one group: when pods come or go the next one begins."""

    def __init__(self, factor: float, batch_size: int) -> None:
        """Nobody does yet."""
        self.found: tuple[Straggler, ...] = ()
        self._factor, self._batch_size = factor, batch_size
        self._pods: frozenset[str] = frozenset()
        self._talks: list[tuple[Mapping[str, float], float]] = []
        self._since = 0.0
        self._calm: dict[str, int] = {}
        """For how many windows those that straggle have kept up."""

    def hear(self, busy: Mapping[str, float], step_seconds: float, now: float) -> None:
        """Takes what ranks told when they talked: the seconds of a step that each pod was busy, and that it took for all."""
        if busy.keys() != self._pods:
            self._pods, self._talks, self._since = frozenset(busy), [], now
            self._calm = {pod: windows for pod, windows in self._calm.items() if pod in busy and len(busy) > 1}
            self.found = tuple(each for each in self.found if each.pod in self._calm)
        # One that has taken no step since it joined has nothing to tell.
        if busy and all(busy.values()):
            self._talks.append((busy, step_seconds))
        if now >= self._since + WINDOW_SECONDS and len(self._talks) >= FEWEST_TALKS:
            self._judge()
            self._talks, self._since = [], now

    def _judge(self) -> None:
        busy = {pod: median(talk[pod] for talk, _ in self._talks) for pod in self._pods}
        step_seconds = median(seconds for _, seconds in self._talks)
        slow = slow_pods(busy, step_seconds, self._factor * self._unevenness, self._calm)
        calm = {
            pod: windows + 1 for pod, windows in self._calm.items() if pod not in slow and windows + 1 < CALM_WINDOWS
        }
        self._calm = {**dict.fromkeys(slow, 0), **calm}
        told = sorted(self._calm, key=lambda pod: (-busy[pod], pod))[:MOST_TOLD]
        middle = median_low(busy.values())
        self.found = tuple(Straggler(pod=pod, step_seconds=busy[pod], median_step_seconds=middle) for pod in told)

    @property
    def _unevenness(self) -> float:
        """How many times the records of a batch's smallest share its largest has: a small batch is nobody's fault."""
        ranks = len(self._pods)
        return -(-self._batch_size // ranks) / max(self._batch_size // ranks, 1)
