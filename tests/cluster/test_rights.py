"""Two replicas with the chart's own rights: who writes when, and whether every right that was granted is used.

What is judged is the API server's audit log, so the cluster must be one of hack/cluster/up.
"""

import asyncio
import json
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.api.meta import Kind
from headrace.kube import connect
from headrace.kube.resources import BY_KIND
from tests.charts.rendering import of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.crash import Namespace, start
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
SYSTEM = f"rights-{uuid.uuid4().hex[:8]}"
SPACE = f"{SYSTEM}-demo"
REPLICAS = ("headrace", "headrace-2")
TAKEOVER_SECONDS = 20
SECONDS = 90
MADE = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Lease", "Secret")
WRITES = frozenset({"create", "update", "patch", "delete"})
UNSEEN = {
    ("leases", "create"): "where Argo CD installed the chart: its default settings leave Leases out",
    **{("podgroups", verb): "a run has one where its spec asks for a gang, on clusters that serve them: test_gang.py has the chart's rights" for verb in ("list", "create", "delete")},
    ("endpointslices", "patch"): "somebody changed the address of a head: test_hands.py has it put right",
    **{(kind, "create"): "a server-side apply that makes an object asks for create and shows as patch" for kind in ("deployments", "configmaps", "endpointslices", "services", "networkpolicies")},
}  # fmt: skip
"""Rights that no audit log shows in use, with the reason for which they are granted."""


@pytest.fixture
def replicas(defined: Cluster, tmp_path: Path) -> list[Path]:
    """Two kubeconfigs with the operator's rights, each an account of its own so that the audit log tells them apart."""
    needs_node(defined, "kwok")
    if not audit_log(defined).exists():
        pytest.skip("the audit log of this cluster cannot be read; hack/cluster/up starts one that can")
    defined.kubectl("create", "namespace", SYSTEM)
    objects = [raw for raw in render(namespace=SYSTEM) if raw["kind"] in MADE]
    accounts = [{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM} for name in REPLICAS]
    for raw in objects:
        if raw["kind"].endswith("Binding"):
            raw["subjects"] = accounts
    second = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": REPLICAS[1], "namespace": SYSTEM}}
    defined.apply(SYSTEM, yaml.safe_dump_all([*objects, second]))
    return [account(defined, name, tmp_path / f"{name}.yaml") for name in REPLICAS]


def account(cluster: Cluster, name: str, path: Path) -> Path:
    """A kubeconfig of a ServiceAccount."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", name, "--namespace", SYSTEM).strip()
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    path.write_text(yaml.safe_dump(config))
    return path


def audit_log(cluster: Cluster) -> Path:
    return cluster.kubeconfig.parent / "audit.log"


async def test_rights_and_replicas(defined: Cluster, replicas: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second replica takes over within 20 s of the first one's end; only the holder writes; no right is idle."""
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    api = await connect()
    space = Namespace(api, Kind.INFERENCE_ENDPOINT, SPACE)
    operators = []
    try:
        operators.append(await start(replicas[0], SPACE, SYSTEM, "headrace"))
        await until(lambda: told(defined, REPLICAS[0], "leases", "update"), "the first replica leads")
        operators.append(await start(replicas[1], SPACE, SYSTEM, "headrace"))
        await until(lambda: told(defined, REPLICAS[1], "leases", "get"), "the second replica stands by")
        await space.start()
        await until(lambda: told(defined, REPLICAS[0], "pods", "create"), "the first replica works")
        operators[0].send_signal(signal.SIGKILL)
        killed = time.time()
        for kind in (Kind.DATA_PIPELINE, Kind.TUNE_JOB):
            await space.make(kind)
        deadline = time.monotonic() + SECONDS
        while not await all_finished(space):
            assert time.monotonic() < deadline, "the second replica did not bring the runs to their end"
            await space.play()
            await asyncio.sleep(0.2)
        await set_spec(api, Kind.INFERENCE_ENDPOINT, {"suspend": True})
        for kind in (Kind.DATA_PIPELINE, Kind.TUNE_JOB, Kind.TRAIN_JOB):
            await set_spec(api, kind, {"ttlSecondsAfterFinished": 0})
        for resource in ("trainjobs", "tunejobs", "datapipelines", "networkpolicies", "deployments"):
            await until(lambda what=resource: told(defined, REPLICAS[1], what, "delete"), f"{resource} are deleted")
    finally:
        for operator in operators:
            if operator.returncode is None:
                operator.terminate()
                await operator.wait()
        await space.drop()
        defined.kubectl("delete", "namespace", SYSTEM, "--wait=false")
        await api.close()
    log = entries(defined)
    judge_writers(log, killed)
    judge_rights(log)


async def all_finished(space: Namespace) -> bool:
    """Whether every run has ended and the endpoint has its first version."""
    phases = await space.phases()
    return (
        all(phases[kind] == "Complete" for kind in ("DataPipeline", "TrainJob", "TuneJob")) and await space.finished()
    )


async def set_spec(api: Any, kind: Kind, spec: Raw) -> None:
    path = BY_KIND[str(kind)].path(SPACE, "one")
    await api._request("patch", "PATCH", path, None, {"spec": spec}, {"Content-Type": "application/merge-patch+json"})


def entries(cluster: Cluster) -> list[Raw]:
    """What the replicas asked for, in order."""
    found = []
    for line in audit_log(cluster).read_text().splitlines():
        if f"system:serviceaccount:{SYSTEM}:" in line:
            entry = json.loads(line)
            if "objectRef" in entry:
                found.append(entry)
    return found


def who(entry: Raw) -> str:
    return str(entry["user"]["username"].rpartition(":")[2])


def what(entry: Raw) -> str:
    part = entry["objectRef"].get("subresource")
    return entry["objectRef"]["resource"] + (f"/{part}" if part else "")


def told(cluster: Cluster, name: str, resource: str, verb: str) -> bool:
    return any(
        (who(each), what(each), each["verb"]) == (name, resource, verb) and each["responseStatus"]["code"] < 300
        for each in entries(cluster)
    )


async def until(fact: Any, name: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {name}"
        await asyncio.sleep(0.3)


def judge_writers(log: list[Raw], killed: float) -> None:
    """Nobody writes before it has the lease; the first one never again; the second one soon."""
    writes = [each for each in log if (each["verb"] in WRITES and what(each) not in ("leases", "secrets")) or (what(each) == "secrets" and each["verb"] == "create")]  # fmt: skip
    renewals = [
        each
        for each in log
        if what(each) == "leases" and each["verb"] == "update" and each["responseStatus"]["code"] < 300
    ]
    for name in REPLICAS:
        first = next(each["requestReceivedTimestamp"] for each in renewals if who(each) == name)
        own = [each["requestReceivedTimestamp"] for each in writes if who(each) == name]
        assert own and min(own) > first, f"{name} wrote before it had the lease"
    taken = next(each["requestReceivedTimestamp"] for each in renewals if who(each) == REPLICAS[1])
    assert not [each for each in writes if who(each) == REPLICAS[0] and each["requestReceivedTimestamp"] > taken]
    seconds = time.mktime(time.strptime(taken[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - killed
    print(f"taken over after {seconds:.1f} s")
    assert seconds <= TAKEOVER_SECONDS


def judge_rights(log: list[Raw]) -> None:
    """Nothing was refused; what was granted was used, or is listed with its reason."""
    refused = [(who(each), what(each), each["verb"]) for each in log if each["responseStatus"]["code"] == 403]
    assert not refused
    used = {(what(each), each["verb"]) for each in log}
    roles = of_kind(render(), "Role") + [
        each for each in of_kind(render(), "ClusterRole") if "aggregat" not in json.dumps(each)
    ]
    granted = {
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }  # fmt: skip
    idle = granted - used - UNSEEN.keys()
    assert not idle, f"granted and never used: {sorted(idle)}"
