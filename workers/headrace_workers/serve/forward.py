"""One request through the router: taken to a server, its answer streamed back, counted for the version that gave it.

A second server is tried only if no connection could be made to the first: once bytes were sent, a request may have had
an effect, and is never sent twice.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from headrace_workers.serve.answers import refusal
from headrace_workers.serve.balance import Balance, Server
from headrace_workers.serve.lifetime import Lifetime
from headrace_workers.serve.traffic import VersionCounts

logger = logging.getLogger(__name__)

VERSION_HEADER = "X-Headrace-Model-Version"
TRIES = 2
REST_SECONDS = 2.0
"""How long a server that refused a connection is left alone."""
IN_FLIGHT_MAX = 1024
"""Requests in flight through one router; more are refused with Retry-After instead of piling up."""
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 300.0
"""How long a server may say nothing before it counts as failed."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
                        "transfer-encoding", "upgrade", "expect"})  # fmt: skip
NO_CONNECTION = (ClientConnectorError, ConnectionTimeoutError)
ADDED_BY_CLIENT = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


def end_to_end(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """The headers that go through a proxy (RFC 9110, 7.6.1): all but those meant for one connection."""
    given = list(headers)
    named = {word.strip().lower() for name, value in given if name.lower() == "connection" for word in value.split(",")}
    return CIMultiDict(
        (name, value) for name, value in given if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )


def backend_session() -> ClientSession:
    """The connections to servers: kept alive, no cookies kept, bodies passed as they are."""
    return ClientSession(
        connector=TCPConnector(limit=0, keepalive_timeout=15.0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        skip_auto_headers=ADDED_BY_CLIENT,
    )


@dataclass
class Outcome:
    """Whether the version failed the request; a lost connection does, a 4xx or a user who left does not."""

    failed: bool = True


class Forwarder:
    """Takes requests of users to servers."""

    def __init__(self, session: ClientSession, balance: Balance, counts: VersionCounts, lifetime: Lifetime) -> None:
        """Shares the router's table and counts."""
        self._session = session
        self._balance = balance
        self._counts = counts
        self._lifetime = lifetime
        self._in_flight = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request of a user."""
        if self._in_flight >= IN_FLIGHT_MAX:
            return refusal(
                503,
                f"the router has {IN_FLIGHT_MAX} requests in flight already: try again shortly",
                retry_after_seconds=1,
            )
        self._in_flight += 1
        try:
            return await self._forward(request)
        finally:
            self._in_flight -= 1

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        tried: list[str] = []
        while len(tried) < TRIES and (server := self._balance.take(time.monotonic(), tried)):
            tried.append(server.address)
            with self._counted(server) as outcome:
                try:
                    return await self._exchange(request, server, outcome)
                except NO_CONNECTION as error:
                    server.rests_until = time.monotonic() + REST_SECONDS
                    logger.warning("no connection to %s of %s: %s", server.address, server.version, error)
        if tried:
            return refusal(
                503,
                f"no connection to {' or '.join(tried)}: the servers may be starting; try again shortly",
                retry_after_seconds=1,
            )
        return refusal(503, "no model version takes requests yet: see the endpoint's conditions", retry_after_seconds=5)

    @contextmanager
    def _counted(self, server: Server) -> Iterator[Outcome]:
        started = time.monotonic()
        outcome = Outcome()
        try:
            yield outcome
        finally:
            self._balance.give_back(server)
            self._counts.count(server.version, failed=outcome.failed, milliseconds=(time.monotonic() - started) * 1000)

    async def _exchange(self, request: web.Request, server: Server, outcome: Outcome) -> web.StreamResponse:
        headers = end_to_end(request.headers.items())
        headers.add("X-Forwarded-For", request.remote or "unknown")
        url = URL(f"http://{server.address}{request.rel_url.raw_path_qs}", encoded=True)
        body = request.content if request.can_read_body else None
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                outcome.failed = answer.status >= 500
                return await self._relay(request, answer, server.version, outcome)
        except NO_CONNECTION:
            raise
        except (ClientError, TimeoutError) as error:
            outcome.failed = not _user_left(request)
            logger.warning("%s of %s broke off: %s", server.address, server.version, type(error).__name__)
            sentence = f"a server of {server.version} broke off ({type(error).__name__}): the request may have been carried out; try again if that does no harm"
            return refusal(504 if isinstance(error, TimeoutError) else 502, sentence)

    async def _relay(
        self, request: web.Request, answer: ClientResponse, version: str, outcome: Outcome
    ) -> web.StreamResponse:
        """Streams the answer to the user; where it breaks off in the middle, the user's connection does too."""
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers.items())
        )
        response.headers[VERSION_HEADER] = version
        if self._lifetime.stopping.is_set():
            response.force_close()
        try:
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except (ClientError, TimeoutError, ConnectionError) as error:
            if not _user_left(request):
                outcome.failed = True
                logger.warning("a server of %s broke off in the middle of an answer: %s", version, type(error).__name__)
                _break_off(request)
        return response


def _user_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _break_off(request: web.Request) -> None:
    """Ends the user's connection: the only way left to say that an answer is not whole."""
    if request.transport is not None:
        request.transport.abort()
