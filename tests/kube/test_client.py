"""The API's answers as exceptions with a sentence, and the names under which requests are counted."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace.cluster import Conflict, Unavailable
from headrace.kube.client import (
    CONNECTIONS,
    ApiError,
    Exists,
    Home,
    NoCluster,
    NotFound,
    Refused,
    Stale,
    _error,
    connect,
    plural_of,
)
from headrace.kube.resources import POD
from tests.cli.api_server import ApiServer, fault, kubeconfig


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/namespaces/a/pods/p", "pods"),
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces", "namespaces"),
        ("/apis/headrace.dev/v1alpha1/namespaces/a/trainjobs/t/status", "trainjobs/status"),
        ("/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "leases"),
    ],
)
def test_requests_are_counted_by_resource(path, name):
    """Not by object: that would be a new series an object."""
    assert plural_of(path) == name


@pytest.mark.parametrize(
    ("code", "body", "kind", "message"),
    [
        (404, b'{"reason":"NotFound","message":"pods \\"p\\" not found"}', NotFound, 'pods "p" not found'),
        (409, b'{"reason":"AlreadyExists","message":"there"}', Exists, "there"),
        (409, b'{"reason":"Conflict","message":"modified"}', Stale, "modified"),
        (403, b'{"reason":"Forbidden","message":"exceeded quota"}', Refused, "exceeded quota"),
        (422, b'{"reason":"Invalid","message":"spec.x"}', Refused, "spec.x"),
        (429, b"", ApiError, "GET /x: GET /x was answered with 429"),
        (502, b"<html>proxy</html>", ApiError, "GET /x: <html>proxy</html>"),
    ],
)
def test_an_answer_becomes_an_exception(code, body, kind, message):
    """All can be tried again later; a stale write is a conflict."""
    error = _error(code, body, "GET", "/x")
    assert (type(error), str(error), error.code) == (kind, message, code)
    assert isinstance(error, Unavailable)
    assert isinstance(error, Conflict) == (kind is Stale)


def test_the_causes_of_a_refusal_are_kept():
    """Each with its field, so that a person can be shown the line."""
    details = {"causes": [{"reason": "FieldValueInvalid", "field": "spec.epochs", "message": "Invalid value: -1"}]}
    error = _error(422, json.dumps({"reason": "Invalid", "message": "no", "details": details}).encode(), "PATCH", "/x")
    assert error.causes == (("spec.epochs", "Invalid value: -1"),)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An API server that KUBECONFIG leads to."""
    with ApiServer() as server:
        (tmp_path / "config").write_text(kubeconfig(server.url))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield server


async def test_the_kubeconfig_says_what_is_meant(server):
    """Its current context and the namespace of that context."""
    api = await connect()
    try:
        assert api.home == Home("here", "demo")
    finally:
        await api.close()


async def test_a_kubeconfig_goes_before_the_pods_own_account(server, tmp_path, monkeypatch):
    """As it does for kubectl: who sets KUBECONFIG in a pod means that cluster."""
    monkeypatch.setattr("headrace.kube.client._in_cluster", lambda: True)
    api = await connect()
    await api.close()
    assert api.configuration.host == server.url


@pytest.mark.parametrize("text", [None, "a: [", "{}"])
async def test_a_kubeconfig_that_leads_nowhere_is_a_value_error(server, tmp_path, monkeypatch, text):
    """With a sentence; outside a pod there is no other way to a cluster."""
    (tmp_path / "config").unlink() if text is None else (tmp_path / "config").write_text(text)
    with pytest.raises(NoCluster, match="no Kubernetes cluster to talk to: "):
        await connect()


async def test_a_log_comes_in_pieces(server):
    """A stream is the bytes of the answer; a refusal is an exception as everywhere."""
    server.logs["p"] = b"x" * 300_000
    api = await connect()
    try:
        pieces = [piece async for piece in api.stream(POD.path("demo", "p", "log"), {"follow": "true"})]
        assert b"".join(pieces) == server.logs["p"]
        server.refusals["GET", "p"] = fault(400, "BadRequest", "waiting to start")
        with pytest.raises(Refused, match="waiting to start"):
            _ = [piece async for piece in api.stream(POD.path("demo", "p", "log"))]
    finally:
        await api.close()


async def test_a_dry_run_by_another_manager_is_said_in_the_query(server):
    """Applying asks for what it was told to; the operator's own way is to force."""
    asked = []
    server._answer = lambda method, url, body: asked.append(url.partition("?")[2]) or (200, {})
    api = await connect()
    try:
        await api.apply("/x", {})
        await api.apply("/x", {}, manager="headrace-cli", force=False, dry_run=True)
    finally:
        await api.close()
    assert asked == ["fieldManager=headrace&force=true", "fieldManager=headrace-cli&force=false&dryRun=All"]


async def test_a_number_of_more_than_64_bits_is_sent(server):
    """What is wrong with it the API server says, in the words that it has for every client."""
    asked = []
    server._answer = lambda method, url, body: asked.append(body) or (200, {})
    api = await connect()
    try:
        await api.apply("/x", {"spec": {"seed": 2**64}})
    finally:
        await api.close()
    assert asked == [{"spec": {"seed": 2**64}}]


@pytest.fixture
def answering(tmp_path, monkeypatch):
    """Opens an API whose server keeps its connections, and answers each GET by a function."""

    @asynccontextmanager
    async def open_api(answer):
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        async with TestServer(app) as server:
            (tmp_path / "config").write_text(kubeconfig(str(server.make_url(""))))
            monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
            api = await connect()
            try:
                yield api
            finally:
                await api.close()

    return open_api


async def test_streams_take_no_connection_from_requests(answering):
    """As many may be open as there are pods whose logs are followed, or namespaces that are watched."""

    async def answer(request):
        if not request.path.endswith("/log"):
            return web.json_response({})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a line\n")
        await closing.wait()
        return response

    closing = asyncio.Event()
    async with answering(answer) as api:
        streams = [api.stream(POD.path("demo", "p", "log")) for _ in range(3 * CONNECTIONS)]
        try:
            async with asyncio.timeout(10):
                assert await asyncio.gather(*map(anext, streams)) == [b"a line\n"] * len(streams)
                assert await api.get("/x") == {}
        finally:
            closing.set()
            await asyncio.gather(*(each.aclose() for each in streams))


async def test_a_connection_that_a_long_list_came_by_is_not_used_again(answering):
    """Single objects share one."""
    came_by = []

    async def answer(request):
        came_by.append(request.transport.get_extra_info("peername")[1])
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    async with answering(answer) as api:
        await api.get("/x")
        await api.list(POD, "demo", name="p")
        await api.list(POD, "demo")
        await api.get("/x")
    assert came_by[0] == came_by[1] == came_by[2] != came_by[3]
