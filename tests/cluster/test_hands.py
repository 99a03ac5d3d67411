"""Children that somebody deletes or changes by hand are put right while the operator runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.api.meta import Kind
from headrace.kube.client import NotFound
from headrace.kube.resources import BY_KIND, POD, SECRET
from tests.cluster.conftest import Cluster
from tests.cluster.scene import RECOVERY_SECONDS, Scene, scene
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
STRANGER = {"app": "stranger"}


@pytest.fixture(autouse=True)
def server(defined: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster with fake nodes, as the one of KUBECONFIG."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))


async def test_children_of_a_run(tmp_path: Path) -> None:
    """Its ConfigMap, the name of its head and its NetworkPolicy while it runs, and its Secret once a pod lacks it; its budget is left alone."""
    async with scene(tmp_path) as stage:
        policy, budget = (
            await _child(stage, Kind.TRAIN_JOB, "NetworkPolicy"),
            await _child(stage, Kind.TRAIN_JOB, "PodDisruptionBudget"),
        )
        closed = (await stage.api.get(policy))["spec"]["ingress"]
        await stage.patch(policy, {"spec": {"ingress": [{}]}})
        await stage.patch(budget, {"spec": {"minAvailable": 0}})
        config, service, behind = [
            await _child(stage, Kind.TRAIN_JOB, child) for child in ("ConfigMap", "Service", "EndpointSlice")
        ]
        secret = await _child(stage, Kind.TRAIN_JOB, "Secret")
        told = (await stage.api.get(config))["data"]
        await stage.patch(config, {"data": dict.fromkeys(told, "nothing")})
        endpoints = (await stage.api.get(behind))["endpoints"]
        await stage.patch(service, {"spec": {"selector": STRANGER}})
        await stage.patch(behind, {"endpoints": [{"addresses": ["192.0.2.66"]}]})
        await stage.until("the ConfigMap is as it was", _same(stage, config, ("data",), told), RECOVERY_SECONDS)
        await stage.until(
            "the Service is as it was", _same(stage, service, ("spec", "selector"), None), RECOVERY_SECONDS
        )
        await stage.until(
            "the EndpointSlice is as it was", _same(stage, behind, ("endpoints",), endpoints), RECOVERY_SECONDS
        )
        await stage.until(
            "the NetworkPolicy is as it was", _same(stage, policy, ("spec", "ingress"), closed), RECOVERY_SECONDS
        )
        assert (await stage.api.get(budget))["spec"]["minAvailable"] == 0
        for path in (config, service, behind, secret, policy, budget):
            await stage.delete(path)
        (head,) = await stage.pods(Kind.TRAIN_JOB, "head")
        waiting = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError"}}}  # fmt: skip
        path = POD.path(stage.space.name, head["metadata"]["name"], "status")
        await stage.patch(path, {"status": {"phase": "Pending", "containerStatuses": [waiting]}})
        for path in (config, service, behind, secret, policy, budget):
            await stage.until(f"{path.rpartition('/')[2]} is there again", _there(stage, path), RECOVERY_SECONDS)


async def test_children_of_an_endpoint(tmp_path: Path) -> None:
    """Deployments, the Service with the stable name and NetworkPolicies, changed and deleted; what others added stays."""
    async with scene(tmp_path) as stage:
        await stage.settle()
        deployment = await _child(stage, Kind.INFERENCE_ENDPOINT, "Deployment")
        service = BY_KIND["Service"].path(stage.space.name, "one")
        policy = await _child(stage, Kind.INFERENCE_ENDPOINT, "NetworkPolicy")
        closed = (await stage.api.get(policy))["spec"]["ingress"]
        await stage.patch(policy, {"spec": {"ingress": [{}]}})
        replicas = (await stage.api.get(deployment))["spec"]["replicas"]
        ports = (await stage.api.get(service))["spec"]["ports"]
        mine = {"metadata": {"annotations": {"example.com/mine": "yes"}}}
        await stage.patch(deployment, {**mine, "spec": {"replicas": replicas + 2}})
        await stage.patch(service, {"spec": {"ports": [{**ports[0], "targetPort": "nowhere"}]}})
        await stage.until(
            "the Deployment is as it was", _same(stage, deployment, ("spec", "replicas"), replicas), RECOVERY_SECONDS
        )
        await stage.until("the Service is as it was", _same(stage, service, ("spec", "ports"), ports), RECOVERY_SECONDS)
        await stage.until(
            "the NetworkPolicy is as it was", _same(stage, policy, ("spec", "ingress"), closed), RECOVERY_SECONDS
        )
        assert (await stage.api.get(deployment))["metadata"]["annotations"]["example.com/mine"] == "yes"
        for path in (deployment, service, policy):
            await stage.delete(path)
        for path in (deployment, service, policy):
            await stage.until(f"{path.rpartition('/')[2]} is there again", _there(stage, path), RECOVERY_SECONDS)


async def _child(stage: Scene, kind: Kind, child: str) -> str:
    """The path of the first child of this kind."""
    resource = SECRET if child == "Secret" else BY_KIND[child]
    found = (await stage.api.list(resource, stage.space.name, selector=f"headrace.dev/kind={kind}")).items
    return resource.path(stage.space.name, min(each["metadata"]["name"] for each in found))


def _same(stage: Scene, path: str, field: tuple[str, ...], wanted: Any) -> Callable[[], Awaitable[bool]]:
    async def same() -> bool:
        value: Any = await stage.api.get(path)
        for name in field:
            value = value.get(name)
        return bool(value == wanted)

    return same


def _there(stage: Scene, path: str) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        try:
            return "deletionTimestamp" not in (await stage.api.get(path))["metadata"]
        except NotFound:
            return False

    return there
