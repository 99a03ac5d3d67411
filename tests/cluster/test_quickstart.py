"""The quickstart's own manifests on a real node: Helm installs, kubectl applies and waits, a Service answers, Helm leaves.

Needs a cluster with a real node, HEADRACE_TEST_CLUSTER=--node.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "headrace"
EXAMPLES = ROOT / "examples" / "quickstart"
SYSTEM = "headrace-system"
DEMO = "demo"
CLAIM = "headrace-storage"
USER = 10001
INSTALL_SECONDS = 180
RUN_SECONDS = 900

VALUES = {
    "image": {"repository": "localhost/headrace-operator", "tag": "1", "pullPolicy": "Never"},
    "workerImage": {"repository": "localhost/headrace-worker", "tag": "1"},
    "operator": {"storageClaim": CLAIM},
    "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
}

STORAGE = """
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  accessModes: [ReadWriteMany]
  capacity: {{storage: 1Gi}}
  storageClassName: ""
  claimRef: {{namespace: {namespace}, name: {claim}}}
  hostPath: {{path: {path}, type: Directory}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {claim}, namespace: {namespace}}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: {name}
  resources: {{requests: {{storage: 1Gi}}}}
"""


class Helm:
    """Helm on a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        beside = cluster.kubectl_program.with_name("helm")
        self._program = beside if beside.exists() else Path(shutil.which("helm") or "helm")
        self._cluster = cluster

    def run(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        """What helm prints; AssertionError with what it complains about."""
        command = [self._program, *arguments, "--kubeconfig", self._cluster.kubeconfig, "--namespace", SYSTEM]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(
            command, input=json.dumps(values) if values is not None else None,
            capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"helm {arguments}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def demo(cluster: Cluster, operator_image: str, worker_image: str, tmp_path: Path) -> Iterator[str]:
    """A namespace that enforces the Pod Security Standard `restricted`, with a claim for the storage."""
    folder = tmp_path / "storage"
    folder.mkdir(mode=0o770)
    os.chown(folder, USER, USER)
    for each in tmp_path.parents:
        if each.stat().st_mode & 0o001 == 0:
            each.chmod(each.stat().st_mode | 0o001)
    cluster.kubectl("create", "namespace", DEMO)
    cluster.kubectl("label", "namespace", DEMO, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("create", "--filename=-", manifest=STORAGE.format(name="storage", claim=CLAIM, namespace=DEMO, path=folder))  # fmt: skip
    yield DEMO
    cluster.kubectl("delete", "namespace", DEMO, "--timeout=60s")
    cluster.kubectl("delete", "persistentvolume", "storage", "--timeout=30s")


def wait_for(cluster: Cluster, namespace: str, resource: str, condition: str, seconds: float) -> None:
    """`kubectl wait`, in pieces, so that what fails meanwhile is told at once."""
    deadline = time.monotonic() + seconds
    while True:
        status = cluster.get(resource, "--namespace", namespace).get("status", {})
        conditions = {each["type"]: each for each in status.get("conditions", ())}
        if conditions.get(condition, {}).get("status") == "True":
            return
        failed = conditions.get("Failed", {})
        assert failed.get("status") != "True", f"{resource} failed: {failed.get('message')}"
        assert time.monotonic() < deadline, f"{resource} is not {condition} within {seconds:g} s: {json.dumps(status, indent=1)}"  # fmt: skip
        time.sleep(1)


def test_from_helm_install_to_helm_uninstall(cluster: Cluster, demo: str) -> None:
    """All four kinds reach their end, the Service answers, an upgrade brings a new field, nothing is left but the objects."""
    helm = Helm(cluster)
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=VALUES)
    for file in sorted(EXAMPLES.glob("*.yaml")):
        cluster.apply(demo, file.read_text())
    wait_for(cluster, demo, "datapipeline/digits", "Complete", RUN_SECONDS)
    wait_for(cluster, demo, "trainjob/digits", "Complete", RUN_SECONDS)
    wait_for(cluster, demo, "tunejob/digits-search", "Complete", RUN_SECONDS)
    wait_for(cluster, demo, "inferenceendpoint/digits", "Ready", RUN_SECONDS)
    cluster.kubectl("wait", "--for=condition=Complete", "trainjob/digits", "--namespace", demo, "--timeout=5s")
    assert answer(cluster, demo)["predictions"][0]["label"] == 0
    upgrade(cluster, helm, demo)
    helm.run("uninstall", "headrace", "--wait", "--timeout=2m")
    until_empty(cluster, SYSTEM)
    assert cluster.get("trainjob/digits", "--namespace", demo)["status"]["phase"] == "Complete"
    cluster.kubectl("delete", "dp,tj,tune,ie", "--all", "--namespace", demo, "--timeout=60s")


def until_empty(cluster: Cluster, namespace: str) -> None:
    """Waits until nothing is left in a namespace but what every namespace has."""
    kinds = "all,secrets,configmaps,serviceaccounts,leases,roles,rolebindings,networkpolicies,poddisruptionbudgets"
    every = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
    deadline = time.monotonic() + 45
    while (
        left := {
            (each["kind"], each["metadata"]["name"]) for each in cluster.get(kinds, "--namespace", namespace)["items"]
        }
        - every
    ):
        assert time.monotonic() < deadline, f"left in {namespace}: {sorted(left)}"
        time.sleep(1)


def answer(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The endpoint's answer to scikit-learn's first digit, a 0, asked through its Service."""
    from sklearn.datasets import load_digits  # of the workers' packages, which other tests of this folder do without

    service = cluster.get("service/digits", "--namespace", namespace)["spec"]
    url = f"http://{service['clusterIP']}:{service['ports'][0]['port']}/predict"
    body = json.dumps({"instances": [load_digits().images[0].tolist()]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.loads(response.read())
    return found


def upgrade(cluster: Cluster, helm: Helm, namespace: str) -> None:
    """A chart with one field more: after `helm upgrade` it can be used."""
    name = "trainjobs.headrace.dev"
    chart = Path(cluster.kubeconfig).parent / "newer-chart"
    shutil.copytree(CHART, chart)
    path = chart / "files" / "crds" / "headrace.dev_trainjobs.yaml"
    definition = yaml.safe_load(path.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["nickname"] = {"type": "string", "description": "A field of a later version."}
    path.write_text(yaml.safe_dump(definition, sort_keys=False))
    helm.run("upgrade", "headrace", str(chart), "--wait", "--timeout=2m", values=VALUES)
    served = cluster.get("crd", name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "nickname" in served["properties"]
    deadline = time.monotonic() + 30
    while "nickname" not in cluster.kubectl("explain", "trainjob.spec"):
        assert time.monotonic() < deadline, "the new field is not served within 30 s"
        time.sleep(1)
    cluster.kubectl(
        "patch", "trainjob/digits", "--namespace", namespace, "--type=merge", '--patch={"spec":{"nickname":"d"}}'
    )
    assert cluster.get("trainjob/digits", "--namespace", namespace)["spec"]["nickname"] == "d"
    cluster.kubectl(
        "patch", "trainjob/digits", "--namespace", namespace, "--type=merge", '--patch={"spec":{"nickname":null}}'
    )
