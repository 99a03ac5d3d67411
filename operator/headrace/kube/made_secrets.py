"""The Secrets that this process made: they are written and never read, so that nobody tells when one is gone.

One is taken to be there until something makes that doubtful; then it is made again, which is success where it is there.
"""

import time
from collections.abc import Callable, Set

from headrace.plan.values import Raw

TRUSTED_SECONDS = 300.0
"""After so long it is doubtful whether a Secret is there still."""


class MadeSecrets:
    """By owner's UID and name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Knows of none."""
        self._clock = clock
        self._made: dict[str, dict[str, Raw]] = {}
        self._since: dict[str, float] = {}

    def add(self, owner: str, secret: Raw) -> None:
        """Takes in that a Secret is there now."""
        self._made.setdefault(owner, {})[secret["metadata"]["name"]] = secret
        self._since[owner] = self._clock()

    def remove(self, owner: str, name: str) -> None:
        """Takes in that nobody needs one any more."""
        self._made.get(owner, {}).pop(name, None)

    def doubt(self, owner: str) -> None:
        """Has all of an owner be made again."""
        self._made.pop(owner, None)
        self._since.pop(owner, None)

    def keep(self, owners: Set[str]) -> None:
        """Forgets those of all other owners."""
        for owner in self._made.keys() - owners:
            self.doubt(owner)

    def of(self, owner: str) -> tuple[Raw, ...]:
        """Those of an owner."""
        return tuple(self._made.get(owner, {}).values())

    def is_doubtful(self, owner: str) -> bool:
        """Whether those of an owner were made long ago."""
        return owner in self._since and self._clock() > self._since[owner] + TRUSTED_SECONDS
