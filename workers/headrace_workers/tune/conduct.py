"""The loop of a search: keep every worker busy, pass measurements to early stopping, stop what is hopeless.

It decides nothing itself: `Search` says what to run and what to stop, the runner runs it. It never waits for one trial
while another could start.
"""

import time
from collections.abc import Callable

from headrace_workers.faults import Interrupted
from headrace_workers.tune.journal import TrialRecord
from headrace_workers.tune.search import Search
from headrace_workers.tune.trial_events import (
    Runner,
    TrialEvent,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialMeasured,
    TrialStopped,
    TrialWork,
)

POLL_SECONDS = 0.5
HAND_OVER_SECONDS = 3.5
"""How long trials may take to save their state when the pod is asked to go; the whole head has five seconds."""


class Conductor:
    """Runs one search on one runner."""

    def __init__(
        self,
        search: Search,
        runner: Runner,
        metric: str,
        parallel: int,
        work: Callable[[TrialRecord], TrialWork],
        heard: Callable[[TrialEvent, frozenset[int]], None],
    ) -> None:
        """`work` makes a record into what a trial trains; `heard` is told each event and which trials run after it."""
        self._search = search
        self._runner = runner
        self._metric = metric
        self._parallel = parallel
        self._work = work
        self._heard = heard
        self._running: set[int] = set()
        self._handing_over = False

    def run(self, stopping: Callable[[], bool]) -> None:
        """Runs trials until the budget is used up; Interrupted, after trials have saved their state, once `stopping`."""
        while self._running or not self._search.exhausted:
            if stopping():
                self._hand_over()
                raise Interrupted
            self._fill()
            for event in self._runner.events(POLL_SECONDS):
                self._take(event)

    def _fill(self) -> None:
        room = min(self._parallel - len(self._running), self._runner.room())
        for _ in range(room):
            record = self._search.next_trial()
            if record is None:
                return
            self._runner.start(self._work(record))
            self._running.add(record.number)

    def _take(self, event: TrialEvent) -> None:
        match event:
            case TrialMeasured(number, epoch, metrics):
                if self._search.measured(number, epoch, metrics[self._metric]):
                    self._search.prune(number)
                    self._runner.stop(number)
            case TrialFinished(number, metrics):
                self._running.discard(number)
                if self._search.is_running(number):
                    self._search.complete(number, metrics[self._metric], metrics)
            case TrialFailed(number, error):
                self._running.discard(number)
                if self._search.is_running(number):
                    self._search.fail(number, error)
            case TrialLost(number):
                self._running.discard(number)
                # Workers that go together with the head are no fault of the trial: it goes on from its checkpoint.
                if self._search.is_running(number) and not self._handing_over:
                    self._search.lost(number)
            case TrialStopped(number):
                self._running.discard(number)
        self._heard(event, frozenset(self._running))

    def _hand_over(self) -> None:
        self._handing_over = True
        for number in sorted(self._running):
            self._runner.stop(number)
        deadline = time.monotonic() + HAND_OVER_SECONDS
        while self._running and (left := deadline - time.monotonic()) > 0:
            for event in self._runner.events(min(left, POLL_SECONDS)):
                self._take(event)
