"""The router as users and the operator meet it, before servers made for the test."""

import asyncio
import contextlib
import gzip
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from headrace.api.run_report import RunReport
from headrace.api.run_spec import RouterSpec
from headrace_workers.pod import Pod
from headrace_workers.serve.router import route
from headrace_workers.serve.settings import Settings

TOKEN = "secret-of-this-run"
MEGABYTE = 1024 * 1024


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Routed:
    """A running router, a client, and servers that say who they are."""

    def __init__(self, client: aiohttp.ClientSession, http: int, report: int, stack: contextlib.AsyncExitStack) -> None:
        self.client = client
        self.users = f"http://127.0.0.1:{http}"
        self.control = f"http://127.0.0.1:{report}"
        self._stack = stack

    async def server(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        """The address of a new server that answers every path with the handler."""
        app = web.Application(client_max_size=64 * MEGABYTE)
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"127.0.0.1:{runner.addresses[0][1]}"

    async def put(self, *backends: tuple[str, int, list[str]], token: str = TOKEN) -> int:
        """The status of PUT /backends with (version, weight, endpoints)."""
        table = {
            "backends": [
                {"version": version, "weight": weight, "endpoints": endpoints}
                for version, weight, endpoints in backends
            ]
        }
        async with self.client.put(
            f"{self.control}/backends", json=table, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            return answer.status

    async def report(self) -> RunReport:
        """GET /report."""
        async with self.client.get(f"{self.control}/report", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            return RunReport.model_validate_json(await answer.read())

    async def ask(self, path: str = "/predict", **arguments: Any) -> tuple[int, str | None, bytes]:
        """Status, version and body of a POST of a user."""
        async with self.client.post(f"{self.users}{path}", **arguments) as answer:
            return answer.status, answer.headers.get("X-Headrace-Model-Version"), await answer.read()


def saying(
    name: str, seconds: float = 0.0, status: int = 200
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that answers its name after a while."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        return web.Response(text=name, status=status)

    return handler


@pytest_asyncio.fixture
async def routed() -> AsyncIterator[Routed]:
    """A router that listens, without backends."""
    http, report = free_port(), free_port()
    pod = Pod("router", "127.0.0.1", TOKEN, Path("/dev/null"), Path("/dev/null"), {"http": http, "report": report})
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        task = asyncio.create_task(route(pod, RouterSpec(endpoint="digits"), Settings(0.0, 0.0, "")))
        one = Routed(client, http, report, stack)
        for _ in range(100):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get(f"{one.control}/readyz") as answer:
                    if answer.status == 200:
                        break
            await asyncio.sleep(0.02)
        yield one
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.asyncio
async def test_without_backends_users_are_told_to_come_back(routed: Routed) -> None:
    """With an empty table a request gets 503, a sentence and Retry-After, and the report shows the empty table."""
    async with routed.client.post(f"{routed.users}/predict", json={}) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert "no model version takes requests yet" in (await answer.json())["error"]
    report = await routed.report()
    assert report.routing is not None and report.routing.backends == ()


@pytest.mark.asyncio
async def test_traffic_is_split_by_weight_and_counted(routed: Routed) -> None:
    """A hundred requests at 90 to 10 are 90 and 10, named in the header and in the report."""
    old, new = await routed.server(saying("old")), await routed.server(saying("new"))
    assert await routed.put(("old", 90, [old]), ("new", 10, [new])) == 200
    answers = [await routed.ask(data=b"{}") for _ in range(100)]
    assert Counter((status, version, body) for status, version, body in answers) == {
        (200, "old", b"old"): 90,
        (200, "new", b"new"): 10,
    }
    versions = (await routed.report()).versions
    assert {
        name: (seen.requests, seen.errors, seen.latency_milliseconds["+Inf"]) for name, seen in versions.items()
    } == {
        "old": (90, 0, 90),
        "new": (10, 0, 10),
    }


@pytest.mark.asyncio
async def test_no_request_is_dropped_while_backends_change_under_load(routed: Routed) -> None:
    """With 16 users asking without pause, servers come and go and every request is answered 200."""
    servers = [await routed.server(saying(f"s{n}", seconds=0.02)) for n in range(4)]
    await routed.put(("a", 100, servers[:1]))
    done = asyncio.Event()
    statuses: Counter[int] = Counter()

    async def user() -> None:
        while not done.is_set():
            status, _, _ = await routed.ask(data=b"x" * 100)
            statuses[status] += 1

    users = [asyncio.create_task(user()) for _ in range(16)]
    for n in range(20):
        old, new = servers[n % 4], servers[(n + 1) % 4]
        await routed.put(("a", 50, [old]), ("b", 50, [new]))
        await asyncio.sleep(0.03)
        await routed.put(("b", 100, [new]))
        await asyncio.sleep(0.03)
        await routed.put(("a", 100, [new]))
    done.set()
    await asyncio.gather(*users)
    assert set(statuses) == {200}
    assert statuses[200] > 100


@pytest.mark.asyncio
async def test_a_removed_backend_finishes_what_it_has(routed: Routed) -> None:
    """A request under way on a backend that leaves the table is answered by it."""
    slow, other = await routed.server(saying("slow", seconds=0.5)), await routed.server(saying("other"))
    await routed.put(("slow", 100, [slow]))
    under_way = asyncio.create_task(routed.ask())
    await asyncio.sleep(0.1)
    await routed.put(("other", 100, [other]))
    assert await routed.ask() == (200, "other", b"other")
    assert await under_way == (200, "slow", b"slow")


@pytest.mark.asyncio
async def test_a_refused_connection_is_tried_once_elsewhere(routed: Routed) -> None:
    """Where one of two servers does not listen, every user is answered, and the failure counts against its version."""
    alive, dead = await routed.server(saying("alive")), f"127.0.0.1:{free_port()}"
    await routed.put(("v", 100, [alive, dead]))
    assert {status for status, _, _ in [await routed.ask(data=b"x" * 200_000) for _ in range(10)]} == {200}
    seen = (await routed.report()).versions["v"]
    assert (seen.requests, seen.errors) == (11, 1)


@pytest.mark.asyncio
async def test_when_nothing_listens_users_are_told(routed: Routed) -> None:
    """Where no server can be reached the answer is 503 with Retry-After, not a hang."""
    await routed.put(("v", 100, [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]))
    async with routed.client.post(f"{routed.users}/predict", json={}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "no connection to" in (await answer.json())["error"]


@pytest.mark.asyncio
async def test_a_request_that_reached_a_server_is_never_sent_twice(routed: Routed) -> None:
    """A server that hangs up without an answer costs 502 and one error; no other server is asked."""
    asked = []

    async def hang_up(request: web.Request) -> web.StreamResponse:
        asked.append(await request.read())
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    servers = [await routed.server(hang_up), await routed.server(hang_up)]
    await routed.put(("v", 100, servers))
    status, _, body = await routed.ask(data=b"once")
    assert (status, asked) == (502, [b"once"])
    assert b"may have been carried out" in body
    assert (await routed.report()).versions["v"].errors == 1


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_not_passed_as_whole(routed: Routed) -> None:
    """Where a server dies in the middle of an answer, the user's connection breaks too, and an error is counted."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    await routed.put(("v", 100, [await routed.server(half)]))
    with pytest.raises(aiohttp.ClientError):
        await routed.ask()
    assert (await routed.report()).versions["v"].errors == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "errors"), [(200, 0), (404, 0), (400, 0), (500, 1), (503, 1)])
async def test_only_the_servers_faults_are_errors(routed: Routed, status: int, errors: int) -> None:
    """A 4xx is the user's doing; a 5xx counts against the version; both reach the user as they are."""
    await routed.put(("v", 100, [await routed.server(saying("answer", status=status))]))
    assert await routed.ask() == (status, "v", b"answer")
    seen = (await routed.report()).versions["v"]
    assert (seen.requests, seen.errors) == (1, errors)


@pytest.mark.asyncio
async def test_a_user_who_leaves_is_no_error(routed: Routed) -> None:
    """A user who hangs up before the answer does not count against the version."""
    await routed.put(("v", 100, [await routed.server(saying("slow", seconds=0.3))]))
    with pytest.raises(TimeoutError):
        await routed.ask(timeout=aiohttp.ClientTimeout(total=0.1))
    await asyncio.sleep(0.5)
    seen = (await routed.report()).versions["v"]
    assert (seen.requests, seen.errors) == (1, 0)


@pytest.mark.asyncio
async def test_bodies_are_streamed_both_ways_unchanged(routed: Routed) -> None:
    """Eight megabytes sent in chunks come back byte for byte, with path, query and headers kept."""
    seen: dict[str, Any] = {}

    async def echo(request: web.Request) -> web.StreamResponse:
        seen.update(
            path=request.raw_path,
            method=request.method,
            mine=request.headers.get("X-Mine"),
            via=request.headers.get("X-Forwarded-For"),
        )
        response = web.StreamResponse(headers={"X-Theirs": "kept"})
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
        return response

    async def chunks() -> AsyncIterator[bytes]:
        for n in range(64):
            yield bytes([n]) * (MEGABYTE // 8)

    await routed.put(("v", 100, [await routed.server(echo)]))
    async with routed.client.put(f"{routed.users}/a%2Fb?q=%20x", data=chunks(), headers={"X-Mine": "kept"}) as answer:
        body = await answer.read()
        assert answer.headers["X-Theirs"] == "kept"
    assert body == b"".join([bytes([n]) * (MEGABYTE // 8) for n in range(64)])
    assert seen == {"path": "/a%2Fb?q=%20x", "method": "PUT", "mine": "kept", "via": "127.0.0.1"}


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE"])
async def test_other_methods_pass(routed: Routed, method: str) -> None:
    """A request without a body is answered whatever its method."""
    await routed.put(("v", 100, [await routed.server(saying("answer"))]))
    async with routed.client.request(method, f"{routed.users}/any") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "6")


@pytest.mark.asyncio
async def test_redirects_and_cookies_belong_to_the_user(routed: Routed) -> None:
    """A redirect is passed on and not followed, and one user's cookie never goes with another's request."""
    cookies = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        response = web.Response(status=302, headers={"Location": "/elsewhere"})
        response.set_cookie("user", "first")
        return response

    address = await routed.server(redirect)
    await routed.put(
        ("v", 100, [address.replace("127.0.0.1", "localhost")])
    )  # a jar would keep no cookie of a bare address
    for _ in range(2):
        async with aiohttp.ClientSession() as user, user.get(f"{routed.users}/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    assert cookies == [None, None]


@pytest.mark.asyncio
async def test_compressed_answers_pass_as_they_are(routed: Routed) -> None:
    """What a server compressed reaches the user compressed, under the same header and length."""

    async def compressed(_: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"answer"), headers={"Content-Encoding": "gzip"})

    await routed.put(("v", 100, [await routed.server(compressed)]))
    async with routed.client.get(f"{routed.users}/") as answer:
        assert (answer.headers["Content-Encoding"], await answer.read()) == ("gzip", b"answer")


@pytest.mark.asyncio
async def test_only_the_bearer_of_the_token_sees_and_sets_the_table(routed: Routed) -> None:
    """Without the token, or with a wrong one, /report and /backends answer 401 and change nothing."""
    assert await routed.put(("v", 100, ["10.0.0.1:80"]), token="guess") == 401
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer guess\xff"},
        {"Authorization": TOKEN},
        {"Headrace-Token": ""},
    ):
        async with routed.client.get(f"{routed.control}/report", headers=headers) as answer:
            assert answer.status == 401
    async with routed.client.get(f"{routed.control}/report", headers={"Headrace-Token": TOKEN}) as answer:
        assert answer.status == 200
    report = await routed.report()
    assert report.routing is not None and report.routing.backends == ()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("no json", "Invalid JSON"),
        ('{"backends": [{"version": "v", "weight": 101}]}', "backends.0.weight"),
        ('{"backends": [{"version": "v", "weight": 1}, {"version": "v", "weight": 2}]}', "version v is listed twice"),
        ('{"backends": [{"version": "v", "weight": 1, "endpoints": ["nowhere"]}]}', "write host:port"),
        ('{"backends": [{"version": "v", "weight": 1, "endpoints": ["evil@host/path:80"]}]}', "write host:port"),
    ],
)
async def test_a_table_that_makes_no_sense_is_refused_whole(routed: Routed, table: str, sentence: str) -> None:
    """A bad table gets 400 with the place and the fact, and the one in use stays."""
    await routed.put(("kept", 100, ["10.0.0.1:80"]))
    async with routed.client.put(
        f"{routed.control}/backends", data=table, headers={"Authorization": f"Bearer {TOKEN}"}
    ) as answer:
        assert answer.status == 400
        assert sentence in (await answer.json())["error"]
    report = await routed.report()
    assert report.routing is not None and [backend.version for backend in report.routing.backends] == ["kept"]


@pytest.mark.asyncio
async def test_metrics_need_no_token(routed: Routed) -> None:
    """Prometheus reads requests, errors and latencies by version without the token."""
    await routed.put(("v", 100, [await routed.server(saying("answer"))]))
    await routed.ask()
    async with routed.client.get(f"{routed.control}/metrics") as answer:
        text = await answer.text()
    assert 'headrace_version_requests_total{version="v"} 1.0' in text
    assert 'headrace_version_latency_seconds_bucket{le="+Inf",version="v"} 1.0' in text
