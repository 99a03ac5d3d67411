"""The objects whose pods begin to run: looked at once for all pods that begin soon, and after what is more urgent."""

import asyncio
from collections.abc import Callable

from headrace.api.meta import ObjectKey

FOLLOWED_SECONDS = 0.5
"""The pods of a run start one soon after the other: each status that only counts one more costs as much as their pods."""

PATIENCE_SECONDS = 15.0
"""About what a Ray head takes to start. Until then others' pods are better made first: they take the longest to run."""


class Starts:
    """Remembers which objects are to be looked at only because pods of theirs run now."""

    def __init__(self, tell: Callable[[ObjectKey], None]) -> None:
        """`tell` has an object looked at."""
        self._tell = tell
        self._soon: set[ObjectKey] = set()
        self._patient: set[ObjectKey] = set()

    def began(self, key: ObjectKey, *, others_wait: bool) -> None:
        """A pod runs that waited; where others of its object still wait, they are expected to run in a moment."""
        if not others_wait:
            self._now(key)
        elif key not in self._soon:
            self._soon.add(key)
            asyncio.get_running_loop().call_later(FOLLOWED_SECONDS, self._now, key)

    def forget(self, key: ObjectKey) -> None:
        """There is another reason to look at it, or somebody looks at it."""
        self._patient.discard(key)

    def patience(self, key: ObjectKey) -> float:
        """The seconds for which other objects may be looked at first."""
        return PATIENCE_SECONDS if key in self._patient else 0.0

    def _now(self, key: ObjectKey) -> None:
        self._soon.discard(key)
        self._patient.add(key)
        self._tell(key)
