"""Keyed wake-ups: each key is worked on by one task at a time, looked at again when it asks, and paused when it fails.

An event only says which key to look at; a key woken while it is worked on is looked at once more afterwards. One that is
woken all the time is soon looked at only once a second: most of what is to be seen and written then is seen and written
together, which spares the API server. Where there is much to do, a key that can wait is looked at after those that cannot.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count

from headrace.api.meta import ObjectKey
from headrace.cluster import Conflict, Unavailable

logger = logging.getLogger(__name__)

Work = Callable[[ObjectKey, datetime], Awaitable[float | None]]
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 30.0
LULL_SECONDS = 1.0
"""A key that nobody looked at for this long starts anew."""
FREE_LOOKS = 5
FIRST_REST_SECONDS = 0.02
LONGEST_REST_SECONDS = 1.0


def pause_seconds(failures: int) -> float:
    """The pause after so many failures in a row; it doubles up to a bound."""
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_SECONDS)


def rest_seconds(looks: int, took: float) -> float:
    """The rest after so many looks without a lull, the last of which took so long."""
    if looks <= FREE_LOOKS:
        return 0.0
    return min(max(FIRST_REST_SECONDS * 2.0 ** min(looks - FREE_LOOKS - 1, 10), took), LONGEST_REST_SECONDS)


class Queue:
    """Wakes keys and runs the work on them until closed."""

    def __init__(
        self,
        work: Work,
        workers: int = 8,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: Callable[[ObjectKey], float] = lambda _: 0.0,
    ) -> None:
        """Prepares `workers` tasks; none runs before `run`. Others may go before a key for `patience` seconds."""
        self._work = work
        self._workers = workers
        self._clock = clock
        self._patience = patience
        self._ready: asyncio.PriorityQueue[tuple[float, int, ObjectKey]] = asyncio.PriorityQueue()
        """Keys by when their turn has come at the latest, and in the order of their wakings."""
        self._wakings = count()
        self._waiting: dict[ObjectKey, float] = {}
        self._working: set[ObjectKey] = set()
        self._again: set[ObjectKey] = set()
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectKey, int] = {}
        self._looks: dict[ObjectKey, tuple[int, float]] = {}
        """How often in a row a key was looked at, and when the rest after the last time ends."""
        self._resting: dict[ObjectKey, asyncio.TimerHandle] = {}

    def wake(self, key: ObjectKey) -> None:
        """Has the key looked at as soon as a task is free."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._working or key in self._resting:
            self._again.add(key)
            return
        due = asyncio.get_running_loop().time() + self._patience(key)
        if due < self._waiting.get(key, math.inf):
            self._waiting[key] = due
            self._ready.put_nowait((due, next(self._wakings), key))

    def wake_after(self, key: ObjectKey, seconds: float) -> None:
        """Has the key looked at after a while, or sooner if it is woken."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + max(seconds, 0.0)
        if timer is not None and timer.when() <= when:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self.wake, key)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._working)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._serve())
        finally:
            for timer in (*self._timers.values(), *self._resting.values()):
                timer.cancel()

    async def _serve(self) -> None:
        while True:
            due, _, key = await self._ready.get()
            if self._waiting.get(key) != due:
                # It was woken once more, with less patience, and has had its turn.
                continue
            del self._waiting[key]
            self._working.add(key)
            started = asyncio.get_running_loop().time()
            pause = await self._attempt(key)
            self._working.discard(key)
            rest = self._count(key, started)
            if pause == 0.0:
                # It decided, and what it decided should be done at once.
                self._again.discard(key)
                self.wake_after(key, pause)
                continue
            if rest:
                self._resting[key] = asyncio.get_running_loop().call_later(rest, self._rested, key)
            elif key in self._again:
                self._again.discard(key)
                self.wake(key)
            if pause is not None and key not in self._waiting:
                self.wake_after(key, pause)

    def _count(self, key: ObjectKey, started: float) -> float:
        """Counts a look that has just ended, and returns how long the key rests now."""
        now = asyncio.get_running_loop().time()
        looks, rested = self._looks.pop(key, (0, started))
        looks = looks + 1 if started - rested < LULL_SECONDS else 1
        rest = rest_seconds(looks, now - started)
        # The key looked at last stands last, so that old ones are found near the front.
        self._looks[key] = looks, now + rest
        while (oldest := next(iter(self._looks))) != key and now - self._looks[oldest][1] > LULL_SECONDS:
            del self._looks[oldest]
        return rest

    def _rested(self, key: ObjectKey) -> None:
        del self._resting[key]
        if key in self._again:
            self._again.discard(key)
            self.wake(key)

    async def _attempt(self, key: ObjectKey) -> float | None:
        asked = 0.0
        try:
            pause = await self._work(key, self._clock())
        except Conflict:
            logger.debug("%s changed meanwhile: looking again", key)
        except Unavailable as error:
            logger.warning("%s: %s; trying again after a pause", key, error, extra={"key": key})
            asked = min(error.retry_after_seconds, LONGEST_PAUSE_SECONDS)
        except Exception:
            logger.exception("%s could not be reconciled; trying again after a pause", key, extra={"key": key})
        else:
            self._failures.pop(key, None)
            return pause
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return max(pause_seconds(failures), asked)
