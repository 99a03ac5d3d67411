"""How pods are asked: at their own address, or through the API server, whose proxy keeps Authorization to itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace.api.run_report import TOKEN_HEADER, ReportPhase, RunReport
from headrace.kube.client import connect
from headrace.kube.memory import Entry
from headrace.kube.reports import Reports, route
from headrace.plan.report_route import ReportRoute
from headrace.plan.values import Pod, PodPhase
from headrace.reports import PushFailed
from tests import gen
from tests.cli.api_server import kubeconfig

TOKEN, ACCOUNT = "run", "secret"  # the kubeconfig's
PROXY = "/api/v1/namespaces/demo/pods/head:{port}/proxy"


class Listener:
    """A pod's report port, also as it is found behind an API server; notes what it was sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.told: list[object] = []

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.asked.append((request.path, headers.get("Authorization", ""), headers.get(TOKEN_HEADER, "")))
        if request.method == "PUT":
            self.told.append(await request.json())
            return web.Response(status=503 if request.path.endswith("/busy") else 200)
        return web.Response(text=gen.report(ReportPhase.RUNNING).model_dump_json(by_alias=True))


@pytest.fixture
async def pod() -> AsyncIterator[tuple[Listener, int]]:
    listener, app = Listener(), web.Application()
    app.router.add_route("*", "/{path:.*}", listener.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield listener, server.port or 0


@pytest.mark.parametrize(
    ("way", "before", "authorization", "token"),
    [
        pytest.param(ReportRoute.DIRECT, "", f"Bearer {TOKEN}", "", id="direct"),
        pytest.param(ReportRoute.PROXY, PROXY, f"Bearer {ACCOUNT}", TOKEN, id="through the API server"),
    ],
)
async def test_a_pod_is_asked_and_told(pod, tmp_path, monkeypatch, way, before, authorization, token) -> None:
    """Its report arrives, and what it is told does; a refusal is an error. See the row for what it is sent."""
    listener, port = pod
    before = before.format(port=port)
    (tmp_path / "config").write_text(kubeconfig(f"http://127.0.0.1:{port}"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    entry = Entry(
        ("Pod", "demo", "head"), "u", 1, pod=Pod("head", "u", PodPhase.RUNNING, address="127.0.0.1", ports={"report": port})
    )  # fmt: skip
    heard = asyncio.Event()
    api = await connect()
    try:
        chosen = route(way, api)
        async with chosen.session() as session:
            reports = Reports(session, lambda: [entry], lambda _: TOKEN, lambda _: heard.set(), chosen)
            asking = asyncio.create_task(reports.run(lambda: True))
            await asyncio.wait_for(heard.wait(), 5.0)
            asking.cancel()
            await reports.push(entry, "/backends", {"weight": 10})
            with pytest.raises(PushFailed, match="pod head answered PUT /busy with 503"):
                await reports.push(entry, "/busy", {})
    finally:
        await api.close()
    newest = reports.newest("u")
    assert isinstance(newest, RunReport)
    assert newest.phase == ReportPhase.RUNNING
    assert listener.told == [{"weight": 10}, {}]
    assert dict.fromkeys(listener.asked) == dict.fromkeys(
        (f"{before}{path}", authorization, token) for path in ("/report", "/backends", "/busy")
    )
