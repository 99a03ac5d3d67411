"""The operator as its users install it, on a real node: by Helm, with the images, and with storage for a namespace."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.conftest import Cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "headrace"
SYSTEM = "headrace-system"
CLAIM = "headrace-storage"
USER = 10001
INSTALL_SECONDS = 180
DIGITS_SECONDS = 300

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


def api_server(cluster: Cluster) -> tuple[str, int]:
    """The address and the port behind the Service `kubernetes`."""
    found = cluster.get("endpointslice", "kubernetes", "--namespace=default")
    return found["endpoints"][0]["addresses"][0], found["ports"][0]["port"]


def values(cluster: Cluster) -> dict[str, Any]:
    """The chart's values for the images of the real node, on an API server that listens where none does by default."""
    return {
        "image": {"repository": "localhost/headrace-operator", "tag": "1", "pullPolicy": "Never"},
        "workerImage": {"repository": "localhost/headrace-worker", "tag": "1"},
        "operator": {"storageClaim": CLAIM},
        "networkPolicy": {"apiServerPorts": [443, api_server(cluster)[1]]},
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
    }


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


DIGITS = """
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits}
spec:
  source: {sample: {name: Digits}}
  steps:
  - split: {trainFraction: 0.8, key: id}
  - scale: {column: image, method: Standard}
  sink: {delta: {}}
  workers: {min: 1, max: 1, resources: {cpu: 200m, memory: 1Gi}}
"""


@contextmanager
def namespace_with_digits(cluster: Cluster, name: str, folder: Path) -> Iterator[str]:
    """The operator, and a namespace in which the pipeline `digits` is complete; both are gone afterwards."""
    helm = Helm(cluster)
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=values(cluster))
    try:
        with namespace_with_storage(cluster, name, folder) as namespace:
            cluster.apply(namespace, DIGITS)
            wait_for(cluster, namespace, "datapipeline/digits", "Complete", DIGITS_SECONDS)
            yield namespace
            cluster.kubectl("delete", "trainjob,datapipeline", "--all", "--namespace", namespace, "--timeout=90s")
    finally:
        helm.run("uninstall", "headrace", "--wait", "--timeout=2m")


@contextmanager
def namespace_with_storage(cluster: Cluster, name: str, folder: Path) -> Iterator[str]:
    """A namespace that enforces the Pod Security Standard `restricted`, with a claim for a folder of this machine."""
    storage = folder / "storage"
    storage.mkdir(mode=0o770)
    os.chown(storage, USER, USER)
    for each in folder.parents:
        if each.stat().st_mode & 0o001 == 0:
            each.chmod(each.stat().st_mode | 0o001)
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    manifest = STORAGE.format(name=f"storage-{name}", claim=CLAIM, namespace=name, path=storage)
    cluster.kubectl("create", "--filename=-", manifest=manifest)
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--timeout=60s")
        cluster.kubectl("delete", "persistentvolume", f"storage-{name}", "--timeout=30s")


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
