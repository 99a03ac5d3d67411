"""Children that the API server will not take: what it says stands in a condition, until they are taken."""

from pathlib import Path
from typing import Any

import pytest

from headrace.api.meta import Kind
from headrace.kube.client import Refused
from tests.cluster.conftest import Cluster
from tests.cluster.scene import JOBS, RECOVERY_SECONDS, Scene, scene
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
POLICIES = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(autouse=True)
def server(defined: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster with fake nodes, as the one of KUBECONFIG."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))


def conditions(raw: Raw) -> dict[str, Raw]:
    """An object's conditions that hold, by type."""
    return {each["type"]: each for each in raw["status"].get("conditions", ()) if each["status"] == "True"}


async def test_a_quota(tmp_path: Path) -> None:
    """No pod and no Deployment is taken: jobs and endpoint say so, and all of them go on when there is room again."""
    async with scene(tmp_path) as stage:
        path = f"/api/v1/namespaces/{stage.space.name}/resourcequotas"
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "full"},
            "spec": {"hard": {"pods": "0"}},
        }
        await stage.api.create(path, quota)
        stage.playing = True
        for kind in JOBS:
            await _until_refused(stage, kind, "exceeded quota: full")
            held = conditions(await stage.get(kind))
            assert (held["Refused"]["reason"], "Stalled" in held) == ("QuotaExceeded", False)
        await stage.patch(f"{path}/full", {"spec": {"hard": {"pods": "100", "count/deployments.apps": "0"}}})
        await _until_refused(stage, Kind.INFERENCE_ENDPOINT, "exceeded quota: full")
        await stage.delete(f"{path}/full")
        await _until_taken(stage)


async def test_a_policy(tmp_path: Path) -> None:
    """A run that only a person can help is stalled, with the policy's own sentence; it is asked for again all the same."""
    async with scene(tmp_path) as stage:
        name = stage.space.name
        policy = {
            "failurePolicy": "Fail", "validations": [{"expression": "false", "message": "no pods on Sundays"}],
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        }  # fmt: skip
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
        version = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
        paths = [f"{POLICIES}/validatingadmissionpolicies", f"{POLICIES}/validatingadmissionpolicybindings"]
        await stage.api.create(paths[0], {**version, "kind": "ValidatingAdmissionPolicy", "spec": policy})
        await stage.api.create(paths[1], {**version, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
        try:
            await stage.until("the policy holds", lambda: _denies(stage), RECOVERY_SECONDS)
            (head,) = await stage.pods(Kind.TRAIN_JOB, "head")
            await stage.delete(f"/api/v1/namespaces/{name}/pods/{head['metadata']['name']}")
            await _until_refused(stage, Kind.TRAIN_JOB, "no pods on Sundays")
            assert "Stalled" in conditions(await stage.get(Kind.TRAIN_JOB))
        finally:
            for path in reversed(paths):
                await stage.delete(f"{path}/{name}")
        await _until_taken(stage)


async def _denies(stage: Scene) -> bool:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    path = f"/api/v1/namespaces/{stage.space.name}/pods"
    try:
        await stage.api._request("create", "POST", path, {"dryRun": "All"}, pod)
    except Refused as refused:
        return "no pods on Sundays" in refused.message
    return False


async def _until_refused(stage: Scene, kind: Kind, words: str) -> None:
    async def refused() -> bool:
        return words in conditions(await stage.get(kind)).get("Refused", {}).get("message", "")

    await stage.until(f"the {kind} says what is refused", refused, RECOVERY_SECONDS)


async def _until_taken(stage: Scene) -> None:
    await stage.settle()
    assert not [each["kind"] for each in await stage.objects() if "Refused" in conditions(each)]
    assert not stage.space.twice
