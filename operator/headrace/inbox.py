"""The keys that one watcher has yet to hear: each at most once, so that it never holds more keys than there are objects."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from headrace.api.meta import ObjectKey


class Inbox:
    """Takes keys from anywhere, hands them out in order."""

    def __init__(self, keys: Iterable[ObjectKey]) -> None:
        """Starts with these keys."""
        self._keys = dict.fromkeys(keys)
        self._filled = asyncio.Event()
        if self._keys:
            self._filled.set()

    def add(self, keys: Iterable[ObjectKey]) -> None:
        """Adds keys; one that waits already waits once."""
        self._keys |= dict.fromkeys(keys)
        if self._keys:
            self._filled.set()

    async def keys(self) -> AsyncIterator[ObjectKey]:
        """The keys as they come, without end."""
        while True:
            await self._filled.wait()
            while self._keys:
                key = next(iter(self._keys))
                del self._keys[key]
                yield key
            self._filled.clear()
