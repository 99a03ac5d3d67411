"""A lean watch of one resource: what the API server tells goes straight to whoever remembers it.

For pods, of which there are many: what kopf does with each event for its handlers was a third of the operator's CPU.
What is deleted while no watch is open the sweep finds; a watch that is silent for too long is opened anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import orjson

from headrace.kube.client import Api, ApiError
from headrace.kube.resources import Resource
from headrace.plan.values import Raw

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 70.0
"""The API server sends a bookmark every minute where nothing happens."""
RECONNECT_SECONDS = 1.0
"""Between two attempts to open a watch."""
LINE_BYTES_MAX = 2**23
"""An object has 1.5 MiB at most where etcd keeps it."""


async def watch(
    api: Api, resource: Resource, namespace: str | None, saw: Callable[[Raw], None], gone: Callable[[Raw], None]
) -> None:
    """Tells of every object, and then of every change, until cancelled; after a gap of every object once more."""
    version: int | None = None
    while True:
        try:
            if version is None:
                listing = await api.list(resource, namespace)
                for item in listing.items:
                    saw(item)
                version = listing.version
            async for kind, raw in _events(api, resource, namespace, version):
                version = int(raw["metadata"]["resourceVersion"])
                if kind != "BOOKMARK":
                    (gone if kind == "DELETED" else saw)(raw)
        except ApiError as error:
            logger.info("the watch of %s broke off: %s", resource.plural, error)
            # Where the API server gave an answer, the version is too old, or a list will tell what is wrong.
            version = None if error.code else version
        await asyncio.sleep(RECONNECT_SECONDS)


async def _events(api: Api, resource: Resource, namespace: str | None, version: int) -> AsyncIterator[tuple[str, Raw]]:
    """What one watch tells of what came after a version: ADDED, MODIFIED, DELETED or BOOKMARK, and the object."""
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(version)}
    if resource.selector:
        query["labelSelector"] = resource.selector
    async for line in _lines(api.stream(resource.path(namespace), query, SILENCE_SECONDS)):
        try:
            event = orjson.loads(line)
            kind, raw = event["type"], event["object"]
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(500, "Unreadable", f"a watch told what is no event: {line[:100]!r}") from error
        if kind == "ERROR":
            raise ApiError(raw.get("code") or 500, raw.get("reason") or "", raw.get("message") or "no reason was given")
        yield kind, raw


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines in a stream of pieces."""
    rest = bytearray()
    async for piece in pieces:
        rest += piece
        if b"\n" not in piece:
            if len(rest) > LINE_BYTES_MAX:
                raise ApiError(0, "TooLarge", f"a watch has sent {len(rest)} bytes without the end of an event")
            continue
        *whole, last = rest.split(b"\n")
        rest = bytearray(last)
        for line in whole:
            if line:
                yield bytes(line)
