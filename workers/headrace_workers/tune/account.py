"""What a search says of itself while it runs: trials, the best so far, the curve, how long yet."""

from collections.abc import Callable

from headrace.api.run_report import CurvePoint, Progress
from headrace.api.tune_job import Objective
from headrace_workers.report import CURVE_POINTS, Reporter
from headrace_workers.storage import Folder
from headrace_workers.tune.history import curve, curve_lines
from headrace_workers.tune.search import Search
from headrace_workers.tune.trial_events import TrialEvent, TrialFailed, TrialLost, TrialMeasured


class Account:
    """Keeps a run's report in step with its search."""

    def __init__(
        self, search: Search, objective: Objective, reporter: Reporter, storage: Folder, clock: Callable[[], float]
    ) -> None:
        """Starts from what the search had when it was taken up; the curve is written anew, for a crash may have cut it."""
        self._search = search
        self._objective = objective
        self._reporter = reporter
        self._clock = clock
        self._started_at = clock()
        self._ended_before = len(search.ended)
        points = curve(search.ended, objective)
        self._told = len(search.ended)
        storage.write("curve.jsonl", curve_lines(points))
        reporter.update(curve=thinned(points), **self.fields(0))

    def heard(self, event: TrialEvent, running: frozenset[int]) -> None:
        """Reports what a trial said."""
        self._record_ended()
        self._reporter.update(stage=self._stage(event), workers=len(running), **self.fields(len(running)))

    def fields(self, running: int) -> dict[str, object]:
        """The report's fields that follow from the search alone."""
        best = self._search.best
        return {
            "progress": self._progress(),
            "trials": self._search.counts(running),
            "best_trial": self._search.best_report,
            "metrics": best.metrics if best else {},
        }

    def _record_ended(self) -> None:
        if len(self._search.ended) == self._told:
            return
        for point in curve(self._search.ended, self._objective):
            if point.step > self._told:
                self._reporter.record(point.step, point.values)
        self._told = len(self._search.ended)

    def _progress(self) -> Progress:
        ended = len(self._search.ended)
        total = self._search.budget_trials
        seconds = self._clock() - self._started_at
        rate = (ended - self._ended_before) / seconds if seconds > 0 else 0.0
        eta = (total - ended) / rate if rate > 0 else None
        return Progress(step=ended, total=total, unit="trials", rate=rate, eta_seconds=eta)

    def _stage(self, event: TrialEvent) -> str:
        match event:
            case TrialMeasured(number, epoch, metrics):
                measured = (
                    f"trial {number}: epoch {epoch}, {self._objective.metric} {metrics[self._objective.metric]:.4g}"
                )
                return measured if self._search.is_running(number) else f"{measured}, stopped early"
            case TrialFailed(number, error):
                return f"trial {number} failed: {error}"[:200]
            case TrialLost(number):
                return f"trial {number} lost its worker"
            case _:
                return f"trial {event.number} ended"


def thinned(points: list[CurvePoint]) -> tuple[CurvePoint, ...]:
    """The points a report has room for, the last one always among them."""
    every = -(-len(points) // CURVE_POINTS) or 1
    return tuple(reversed(points[::-1][::every]))
