"""A cut of all watches that pass a proxy: their connections are reset, or stay open and say nothing."""

import asyncio
import weakref
from enum import StrEnum

from aiohttp import web


class Manner(StrEnum):
    """How watches are cut."""

    REFUSED = "refused"
    SILENT = "silent"


class Cut:
    """Everything passes until `make`, and again after `lift`."""

    def __init__(self) -> None:
        self._manner: Manner | None = None
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def make(self, manner: Manner) -> None:
        """Cuts the watches that are there, and those to come."""
        self._manner = manner
        if manner == Manner.REFUSED:
            for connection in self._connections:
                connection.abort()

    def lift(self) -> None:
        """Ends the cut for new watches; one that was silenced stays so, as where a router in between has forgotten it."""
        self._manner = None

    async def admits(self, request: web.Request) -> bool:
        """Whether a watch may pass; where it is cut, its connection is reset first, or this never returns."""
        if request.transport is not None:
            self._connections.add(request.transport)
        if self._manner == Manner.SILENT:
            await asyncio.Event().wait()
        if self._manner == Manner.REFUSED:
            if request.transport is not None:
                request.transport.abort()
            return False
        return True
