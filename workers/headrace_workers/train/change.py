"""When a group that trains should save and give way to one of other workers: one wants to go, or more have come."""

import logging
import time

from headrace_workers.departures import Departures
from headrace_workers.ray_cluster import joined_workers

LOOK_SECONDS = 1.0
STEADY_SECONDS = 5.0
"""How long a number of workers must have stood before a group is formed for it: pods come one by one."""
REGROUP_SECONDS = 40.0
"""What a change of the group costs, seen on two cores."""
AGAIN_SECONDS = 600.0
"""After this long a group that left workers out gives way to one that may take them."""
GONE_SECONDS = 15.0
"""How long workers that may go are waited for; Ray then counts them as lost by itself."""

logger = logging.getLogger(__name__)


class Change:
    """Watches the workers of one group."""

    def __init__(self, departures: Departures, formed_for: int) -> None:
        """From now on a worker that wants to go waits until the group has saved; `formed_for` so many it was formed."""
        self._departures = departures
        self._formed_for = formed_for
        self._first_size = 0
        self._trains_since = 0.0
        self._looked_at = 0.0
        self._joined = 0
        self._since = time.monotonic()
        departures.hold()

    def is_due(self, world_size: int, eta_seconds: float | None) -> bool:
        """Whether the group of this size should save now; `eta_seconds` is how long it would still train."""
        if leaving := self._departures.waiting:
            if world_size:
                logger.info("%s asked to leave: the group saves first", ", ".join(sorted(leaving)))
                return True
            # There is nothing to save while a group is being formed.
            self._departures.release()
            return False
        if (now := time.monotonic()) < self._looked_at + LOOK_SECONDS or not world_size:
            return False
        self._looked_at = now
        if not self._first_size:
            self._first_size, self._trains_since = world_size, now
        joined = len(joined_workers())
        if joined != self._joined:
            self._joined, self._since = joined, now
        if joined == self._formed_for and self._first_size < joined and now < self._trains_since + AGAIN_SECONDS:
            # A group for as many has left some out, and the next one might.
            return False
        if now - self._since < STEADY_SECONDS or not is_worth_growing(world_size, joined, eta_seconds):
            return False
        logger.info("%d workers are there for a group of %d: it saves and grows", joined, world_size)
        return True

    def finish(self) -> None:
        """Lets those go that waited, and waits until they have; until the next group is there all may go."""
        leaving = self._departures.open()
        ends = time.monotonic() + GONE_SECONDS
        while leaving & set(joined_workers()) and time.monotonic() < ends:
            time.sleep(LOOK_SECONDS)


def is_worth_growing(world_size: int, joined: int, eta_seconds: float | None) -> bool:
    """Whether more workers save more time than it takes to let them in, if speed grows with their number."""
    if joined <= world_size:
        return False
    return eta_seconds is None or eta_seconds * (1 - world_size / joined) > REGROUP_SECONDS
