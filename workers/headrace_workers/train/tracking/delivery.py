"""Delivery to one tracker, by a thread of its own: whoever tells something never waits, and what cannot be delivered is counted.

A tracker that is down is asked again, with pauses up to a minute, as long as the attempt lasts. What is told meanwhile
waits, up to a bound. One that refuses is not asked again by this attempt.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from headrace.api.run_report import Tracked
from headrace_workers.train.tracking.tracker import End, Point, Tracker, TrackerDown, TrackerRefuses

MOST_POINTS = 10_000
"""Points that wait; the oldest goes when one more comes."""
BATCH_POINTS = 40
GATHER_SECONDS = 1.0
"""The least time between two sendings, so that a curve with a point at each step does not cost a request for each."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
SETTLE_SECONDS = 15.0
"""How long the end of an attempt waits for what is still to be delivered."""

logger = logging.getLogger(__name__)


class Delivery:
    """What one tracker was told, and has to be told yet."""

    def __init__(self, tracker: Tracker, on_change: Callable[[], None] = lambda: None) -> None:
        """Opens nothing yet: its thread starts with the first that it is told, when Ray has been started.

        Who starts processes copies the environment, and a tool that changes it meanwhile would break that.
        """
        self._tracker, self._on_change = tracker, on_change
        self._points: deque[Point] = deque()
        self._facts: dict[str, str] = {}
        self._end: End | None = None
        self._undone: int | None = None
        self._lost = self._delivered = 0
        self._address, self._problem = "", ""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._deliver, name=f"tracking-{tracker.tool}", daemon=True)

    @property
    def state(self) -> Tracked:
        """How far it is."""
        with self._changed:
            return Tracked(
                tool=self._tracker.tool, address=self._address, delivered=self._delivered,
                undelivered=len(self._points) + self._lost, problem=self._problem,
            )  # fmt: skip

    def tell(self, points: Iterable[Point] = (), facts: Mapping[str, str] | None = None) -> None:
        """Adds points, and facts of which the newest of a name counts."""
        with self._changed:
            for point in points:
                if len(self._points) == MOST_POINTS:
                    self._points.popleft()
                    self._lost += 1
                self._points.append(point)
            self._facts |= facts or {}
            self._wake()

    def take_back_after(self, step: int) -> None:
        """Forgets the points after a step that are not delivered yet: these steps are done again."""
        with self._changed:
            self._points = deque(point for point in self._points if point.step <= step)

    def undo_after(self, step: int) -> None:
        """Has the points after a step told anew: these steps are done again, and come out otherwise."""
        self.take_back_after(step)
        with self._changed:
            self._undone = step if self._undone is None else min(step, self._undone)

    def end(self, end: End) -> None:
        """Has the end told too, after all else."""
        with self._changed:
            self._end = end
            self._wake()

    def settle(self, seconds: float) -> None:
        """Waits until the end is told, but not for longer; what is missing then is said."""
        self._thread.join(seconds)
        state = self.state
        if self._thread.is_alive():
            self._say(f"{state.tool} did not take the end of this attempt in time")
        if state.undelivered:
            logger.warning(
                "%s did not get %d points of the curve; they are in the run's storage", state.tool, state.undelivered
            )
        self._on_change()

    def _wake(self) -> None:
        if self._thread.ident is None:
            self._thread.start()
        self._changed.notify_all()

    def _deliver(self) -> None:
        is_open, pause = False, FIRST_PAUSE_SECONDS
        while True:
            with self._changed:
                is_last = self._end is not None
            try:
                if not is_open:
                    self._opened(self._tracker.open())
                    is_open = True
                if self._send():
                    return
                pause = FIRST_PAUSE_SECONDS
            except TrackerRefuses as error:
                self._say(f"{error}; this attempt tells it nothing more, and training goes on")
                return
            except Exception as error:  # whatever a tool's library raises must not be silent, and may pass  # noqa: BLE001
                is_open = False
                words = str(error) if isinstance(error, TrackerDown) else f"{type(error).__name__}: {error}"
                self._say(f"{words}; what it misses waits, and training goes on")
                if is_last:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._end is not None, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _send(self) -> bool:
        """Sends some of what waits; whether all is told and the end is."""
        with self._changed:
            self._changed.wait_for(lambda: self._points or self._facts or self._end is not None)
            points, facts = (
                [self._points[place] for place in range(min(BATCH_POINTS, len(self._points)))],
                dict(self._facts),
            )
            end = self._end if len(points) == len(self._points) else None
            undone = self._undone
        if undone is not None:
            self._tracker.undo(undone)
        self._tracker.send(points, facts)
        with self._changed:
            # By identity: meanwhile the oldest may have gone, or the last been taken back.
            sent = {id(point) for point in points}
            left = deque(point for point in self._points if id(point) not in sent)
            self._delivered += len(self._points) - len(left)
            self._points = left
            self._facts = {key: value for key, value in self._facts.items() if facts.get(key) != value}
            self._problem = ""
            self._undone = None if self._undone == undone else self._undone
        if end is not None:
            self._tracker.close(end)
            return True
        self._on_change()
        with self._changed:
            self._changed.wait_for(lambda: self._end is not None or len(self._points) >= BATCH_POINTS, GATHER_SECONDS)
        return False

    def _opened(self, address: str) -> None:
        with self._changed:
            recovered, self._address, self._problem = bool(self._problem), address[:768], ""
        logger.info("%s tracks the run%s: %s", self._tracker.tool, " again" if recovered else "", address)
        self._on_change()

    def _say(self, sentence: str) -> None:
        with self._changed:
            known, self._problem = self._problem, sentence[:512]
        if sentence[:512] != known:
            logger.warning("%s", sentence)
            self._on_change()
