"""The keys that watchers have yet to hear: each at most once, so that nobody holds more keys than there are objects."""

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


class Inboxes:
    """The watchers of one world."""

    def __init__(self) -> None:
        """Nobody watches yet."""
        self._inboxes: list[Inbox] = []

    def tell(self, keys: Iterable[ObjectKey]) -> None:
        """Has every watcher hear these keys, in one order whatever order they came in."""
        ordered = sorted(keys, key=str)
        for inbox in self._inboxes:
            inbox.add(ordered)

    async def watch(self, keys: Iterable[ObjectKey]) -> AsyncIterator[ObjectKey]:
        """These keys, and then those that are told, without end."""
        inbox = Inbox(keys)
        self._inboxes.append(inbox)
        try:
            async for key in inbox.keys():
                yield key
        finally:
            self._inboxes.remove(inbox)
