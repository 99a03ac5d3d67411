"""The operator through bad days of its API server, of the way to it, and of nodes: nothing doubled, nothing forgotten.

HEADRACE_CUT_SECONDS is how long watches are cut; 300 is the figure that is promised.
"""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.api.meta import Kind
from headrace.kube.resources import BY_KIND, POD
from tests.cluster.bad_day import BadDay
from tests.cluster.conftest import Cluster
from tests.cluster.cut import Manner
from tests.cluster.scene import JOBS, RECOVERY_SECONDS, Scene, ready, scene
from tests.cluster.test_cluster_up import needs_node

CUT_SECONDS = float(os.environ.get("HEADRACE_CUT_SECONDS", "90"))
NOTICE_SECONDS = 75.0
STOPPED_SECONDS = 30.0
SHARE = 0.12
GONE_SECONDS = 120.0
"""In which the controller manager finds out that a node is gone (its garbage collector looks every 20 s, twice) or mute."""

HOLD = "test.headrace.dev/hold"
STUCK_SECONDS = 10.0
BEAT_SECONDS = 3.0
NODES = "/api/v1/nodes"
GIVEN_UP = tuple(
    {"key": f"node.kubernetes.io/{fact}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    for fact in ("not-ready", "unreachable")
)
Raw = dict[str, Any]


@pytest.fixture(autouse=True)
def server(defined: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster with fake nodes, as the one of KUBECONFIG."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    return defined


async def judge(stage: Scene, restarts: int | None = 1) -> None:
    """Every job is complete, its restarts are counted once, and no two heads of one object were there together."""
    for each in await stage.objects():
        if each["kind"] not in JOBS or each["spec"].get("suspend"):
            continue
        assert each["status"]["phase"] == "Complete", ready(each)
        if restarts is not None:
            assert each["status"]["restarts"] == restarts, each["status"]["incidents"]
    assert not stage.space.twice


@pytest.mark.parametrize("manner", list(Manner))
async def test_watches_are_cut(tmp_path: Path, manner: Manner) -> None:
    """What is made, changed and deleted meanwhile is seen to all the same; /healthz is red, and green afterwards."""
    async with scene(tmp_path) as stage:
        name, began = stage.space.name, time.monotonic()
        stage.proxy.cut.make(manner)
        await stage.patch(BY_KIND["DataPipeline"].path(name, "one"), {"spec": {"suspend": True}})
        await stage.delete(BY_KIND["TuneJob"].path(name, "one"))
        await stage.space.make(Kind.TUNE_JOB, "two")
        stage.playing = True
        await stage.blind(NOTICE_SECONDS)
        while time.monotonic() - began < CUT_SECONDS:
            assert stage.health == 503
            await asyncio.sleep(0.5)
        stage.proxy.cut.lift()
        lifted = time.monotonic()
        await stage.settle()
        await stage.healthy(RECOVERY_SECONDS - (time.monotonic() - lifted))
        assert (await stage.get(Kind.DATA_PIPELINE))["status"]["phase"] == "Suspended"
        assert {each["metadata"]["name"] for each in await stage.objects() if each["kind"] == "TuneJob"} == {"two"}
        await judge(stage)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_share_of_requests_fails(tmp_path: Path, seed: int) -> None:
    """Before or after the API server did what it was asked, reads and writes alike: the end is that of a good day."""
    async with scene(tmp_path) as stage:
        day = BadDay(seed, SHARE)
        stage.proxy.answer, stage.proxy.lose = day.refuse, day.lose
        stage.playing = True
        await asyncio.sleep(STOPPED_SECONDS)
        stage.proxy.answer = stage.proxy.lose = lambda _: None
        print(dict(sorted(day.answered.items())))
        await stage.settle()
        await stage.healthy(RECOVERY_SECONDS)
        await judge(stage)
        assert not (await stage.space.end()).doubled


async def test_etcd_stands_still(tmp_path: Path, server: Cluster) -> None:
    """For half a minute, in which nothing is answered; what was asked may be carried out later."""
    pid = server.kubeconfig.parent / "etcd.pid"
    if not pid.exists():
        pytest.skip("this cluster's etcd is not at hand; hack/cluster/up starts one that is")
    async with scene(tmp_path) as stage:
        stage.playing = True
        os.kill(int(pid.read_text()), signal.SIGSTOP)
        try:
            await asyncio.sleep(STOPPED_SECONDS)
        finally:
            os.kill(int(pid.read_text()), signal.SIGCONT)
        await stage.settle()
        await stage.healthy(RECOVERY_SECONDS)
        await judge(stage)
        assert not (await stage.space.end()).doubled


async def test_a_node_is_deleted(tmp_path: Path, server: Cluster) -> None:
    """With the pods on it: the run goes on elsewhere, and the loss is no failure of its own."""
    async with scene(tmp_path) as stage:
        (head,) = await stage.pods(Kind.TRAIN_JOB, "head")
        node = server.get("node", head["spec"]["nodeName"])
        server.kubectl("delete", "node", node["metadata"]["name"])
        try:
            await stage.until("another head runs", lambda: _another_runs(stage, head), GONE_SECONDS + RECOVERY_SECONDS)
        finally:
            kept = {name: node["metadata"][name] for name in ("name", "annotations", "labels")}
            server.kubectl("create", "--filename=-", manifest=yaml.safe_dump({"apiVersion": "v1", "kind": "Node", "metadata": kept, "spec": {"taints": node["spec"].get("taints", [])}, "status": node["status"]}))  # fmt: skip
        await stage.settle()
        status = (await stage.get(Kind.TRAIN_JOB))["status"]
        assert (status["disruptions"] > 0, status["restarts"]) == (True, 0)
        await judge(stage, restarts=None)


async def test_a_node_falls_silent(tmp_path: Path, server: Cluster) -> None:
    """Its pods may still run, so nothing takes their head's place until it is known to be gone; a condition says so."""
    pid = server.kubeconfig.parent / "kwok.pid"
    if not pid.exists():
        pytest.skip("this cluster's kwok is not at hand; hack/cluster/up starts one that is")
    async with scene(tmp_path, GIVEN_UP) as stage:
        (head,) = await stage.pods(Kind.TRAIN_JOB, "head")
        silent = str(head["spec"]["nodeName"])
        os.kill(int(pid.read_text()), signal.SIGSTOP)
        beating = asyncio.create_task(_beat(stage, silent))
        try:
            await stage.until("the run says what it waits for", lambda: _waits_for(stage, head), GONE_SECONDS)
            await asyncio.sleep(STUCK_SECONDS)
            assert await _waits_for(stage, head)
        finally:
            beating.cancel()
            os.kill(int(pid.read_text()), signal.SIGCONT)
        await stage.settle()
        await stage.until("the node takes pods again", lambda: _takes_pods(stage, silent), GONE_SECONDS)
        await judge(stage, restarts=None)


@pytest.mark.parametrize("role", ["head", "worker"])
async def test_a_pod_does_not_go(tmp_path: Path, role: str) -> None:
    """Something holds it back: the run names it, goes on without a worker, and waits for a head."""
    async with scene(tmp_path) as stage:
        pod = (await stage.pods(Kind.TRAIN_JOB, role))[0]
        path = POD.path(stage.space.name, pod["metadata"]["name"])
        await stage.patch(path, {"metadata": {"finalizers": [HOLD]}})
        await stage.delete(path)
        try:
            await stage.until("the run names the pod", lambda: _waits_for(stage, pod), RECOVERY_SECONDS)
            if role == "worker":
                stage.space.fails, stage.playing = False, True
                await stage.until("the run is complete without it", lambda: _complete(stage), RECOVERY_SECONDS)
            else:
                await asyncio.sleep(STUCK_SECONDS)
                assert await _waits_for(stage, pod)
        finally:
            await stage.patch(path, {"metadata": {"finalizers": None}})
        await stage.settle()
        await judge(stage, restarts=None)


async def _another_runs(stage: Scene, before: Raw) -> bool:
    heads = await stage.pods(Kind.TRAIN_JOB, "head")
    return any(
        each["metadata"]["uid"] != before["metadata"]["uid"] and each["status"].get("phase") == "Running"
        for each in heads
    )


async def _waits_for(stage: Scene, pod: Raw) -> bool:
    """Whether the run's condition names a pod."""
    return pod["metadata"]["name"] in ready(await stage.get(Kind.TRAIN_JOB))


async def _takes_pods(stage: Scene, node: str) -> bool:
    raw = await stage.api.get(f"{NODES}/{node}")
    return not any("unreachable" in taint["key"] for taint in raw["spec"].get("taints", ()))


async def _beat(stage: Scene, silent: str) -> None:
    """The heartbeats of all nodes but one, in kwok's place: where none has one, the controllers evict nobody."""
    while True:
        for node in (await stage.api.get(NODES))["items"]:
            if node["metadata"]["name"] != silent:
                now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                seen = [{**each, "lastHeartbeatTime": now} for each in node["status"]["conditions"]]
                await stage.patch(f"{NODES}/{node['metadata']['name']}/status", {"status": {"conditions": seen}})
        await asyncio.sleep(BEAT_SECONDS)


async def _complete(stage: Scene) -> bool:
    return bool((await stage.get(Kind.TRAIN_JOB))["status"]["phase"] == "Complete")
