"""The quickstart's own manifests on a real node: Helm installs, kubectl applies and waits, a Service answers, Helm leaves.

Needs a cluster with a real node, HEADRACE_TEST_CLUSTER=--node.
"""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster
from tests.cluster.installation import CHART, ROOT, SYSTEM, Helm, namespace_with_storage, values, wait_for

EXAMPLES = ROOT / "examples" / "quickstart"
RUN_SECONDS = 900


@pytest.fixture
def demo(cluster: Cluster, operator_image: str, worker_image: str, tmp_path: Path) -> Iterator[str]:
    """A namespace for the quickstart."""
    with namespace_with_storage(cluster, "demo", tmp_path) as name:
        yield name


def test_from_helm_install_to_helm_uninstall(cluster: Cluster, demo: str) -> None:
    """All four kinds reach their end, the Service answers, an upgrade brings a new field, nothing is left but the objects."""
    helm = Helm(cluster)
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=values(cluster))
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
    helm.run("upgrade", "headrace", str(chart), "--wait", "--timeout=2m", values=values(cluster))
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
