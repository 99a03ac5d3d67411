"""The kubelet of a real node falls silent while a pipeline runs, and comes back: before or after its pods were given up.

The operator asks for reports through the API server here, and its own NetworkPolicy leaves it no other way. Needs a
cluster of hack/cluster/up with a real node, HEADRACE_TEST_CLUSTER="--node --fake-nodes 4": where no node is alive,
Kubernetes gives up no pod.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.plan import labels
from tests.cluster.conftest import Cluster
from tests.cluster.installation import CHART, Helm, namespace_with_storage, values

RUN_SECONDS = 180
SILENT_SECONDS = 120
RECOVERY_SECONDS = 75
GIVEN_UP_SECONDS = 5
STUCK_SECONDS = 10
LOOK_SECONDS = 0.5
UNREACHABLE = "node.kubernetes.io/unreachable"
STEPS = [
    {"split": {"trainFraction": 0.8, "key": "id"}},
    {"augment": {"image": {"column": "image", "shiftPixels": 1, "copies": 60}}},
]
"""Enough to do that a report is asked for meanwhile."""
Raw = dict[str, Any]


def pipeline(name: str, tolerated_seconds: int) -> str:
    """A pipeline of one small worker, whose pods stay on a silent node for so long."""
    toleration = {
        "key": UNREACHABLE,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": tolerated_seconds,
    }
    return json.dumps({
        "apiVersion": "headrace.dev/v1alpha1", "kind": "DataPipeline", "metadata": {"name": name},
        "spec": {
            "source": {"sample": {"name": "Digits"}}, "steps": STEPS, "sink": {"delta": {}},
            "workers": {"min": 1, "max": 1, "resources": {"cpu": "200m", "memory": "1Gi"}}, "pods": {"tolerations": [toleration]},
        },
    })  # fmt: skip


class Scene:
    """Pipelines in a namespace, their pods as they come and go, and the node."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.pods: dict[str, set[str]] = {}
        """The UIDs of every pod that was seen, by name."""
        (self.node,) = (each["metadata"]["name"] for each in cluster.get("nodes", "--selector=type!=kwok")["items"])

    def status(self, name: str) -> Raw:
        """The object's status."""
        found: Raw = self.cluster.get(f"datapipeline/{name}", "--namespace", self.namespace).get("status", {})
        return found

    def ready(self, name: str) -> tuple[str, str]:
        """Reason and message of the object's condition Ready."""
        found = [each for each in self.status(name).get("conditions", ()) if each["type"] == "Ready"]
        return (found[0]["reason"], found[0]["message"]) if found else ("", "")

    def look(self, name: str) -> list[Raw]:
        """The object's pods as they are; no two heads are there together."""
        selector = f"--selector={labels.NAME}={name}"
        pods: list[Raw] = self.cluster.get("pods", selector, "--namespace", self.namespace)["items"]
        for each in pods:
            self.pods.setdefault(each["metadata"]["name"], set()).add(each["metadata"]["uid"])
        assert sum(each["metadata"]["labels"][labels.ROLE] == labels.HEAD for each in pods) <= 1
        return pods

    def until(self, what: str, name: str, fact: Callable[[list[Raw]], bool], seconds: float) -> float:
        """Looks until it holds of the object's pods; returns the seconds that it took."""
        started = time.monotonic()
        while not fact(self.look(name)):
            took = time.monotonic() - started
            assert took < seconds, f"not within {seconds:g} s: {what}; {self.ready(name)}, {self.status(name)}"
            time.sleep(LOOK_SECONDS)
        took = time.monotonic() - started
        print(f"{name}: {what} after {took:.1f} s")
        return took

    def begin(self, name: str, tolerated_seconds: int) -> None:
        """Applies a pipeline, and waits until its head and its worker run."""
        self.cluster.apply(self.namespace, pipeline(name, tolerated_seconds))
        self.until("both pods run", name, all_run, RUN_SECONDS)

    def is_silent(self, _: list[Raw]) -> bool:
        """Whether the node is known to be silent."""
        conditions = self.cluster.get(f"node/{self.node}")["status"]["conditions"]
        return any((each["type"], each["status"]) == ("Ready", "Unknown") for each in conditions)

    def judge(self, name: str, usual: Raw, **counted: int) -> None:
        """The end is the usual one, written once, by pods that were made once."""
        status = self.status(name)
        made = status["dataset"]
        assert (made["records"], made["splits"], made["version"]) == (usual["records"], usual["splits"], 0)
        assert {key: status.get(key, 0) for key in ("attempt", "restarts", "disruptions")} == counted
        assert all(len(uids) == 1 for uids in self.pods.values()), self.pods


def all_run(pods: list[Raw]) -> bool:
    return len(pods) == 2 and all(each["status"].get("phase") == "Running" for each in pods)


@contextmanager
def silenced(cluster: Cluster) -> Iterator[None]:
    """The node's kubelet stands still; containers run on."""
    pid = int((cluster.kubeconfig.parent / "kubelet.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def scene(
    cluster: Cluster, operator_image: str, worker_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The operator, that asks for reports through the API server."""
    if not (cluster.kubeconfig.parent / "kubelet.pid").exists():
        pytest.skip("this cluster's kubelet is not at hand; hack/cluster/up --node starts one that is")
    folder = tmp_path_factory.mktemp("kubelet")
    helm, told = Helm(cluster), values(cluster)
    told["operator"]["reports"] = "Proxy"
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=told)
    try:
        with namespace_with_storage(cluster, "kubelet", folder) as namespace:
            yield Scene(cluster, namespace)
            cluster.kubectl("delete", "datapipeline", "--all", "--namespace", namespace, "--timeout=60s")
    finally:
        helm.run("uninstall", "headrace", "--wait", "--timeout=2m")


@pytest.fixture(scope="module")
def usual(scene: Scene) -> Raw:
    """What a pipeline makes when nothing goes wrong."""
    scene.begin("usual", 300)
    scene.until("complete", "usual", lambda _: scene.status("usual")["phase"] == "Complete", RUN_SECONDS)
    made: Raw = scene.status("usual")["dataset"]
    return made


def test_reports_arrive_through_the_api_server(scene: Scene, usual: Raw) -> None:
    """The status keeps when the last one was made: the final report is the pod's own, and says nothing of that."""
    assert scene.status("usual")["reportTime"]
    assert usual["records"] == sum(usual["splits"].values())


def test_a_kubelet_is_silent_for_a_minute(scene: Scene, usual: Raw) -> None:
    """What ends meanwhile is not taken for ended before the kubelet has said how, and is not done again."""
    scene.begin("short", 300)
    with silenced(scene.cluster):
        scene.until("the node is known to be silent", "short", scene.is_silent, SILENT_SECONDS)
        assert scene.status("short")["phase"] in ("Starting", "Running"), scene.ready("short")
    scene.until("complete", "short", lambda _: scene.status("short")["phase"] == "Complete", RECOVERY_SECONDS)
    scene.judge("short", usual, attempt=1, restarts=0, disruptions=0)


def test_a_kubelet_comes_back_after_its_pods_were_given_up(scene: Scene, usual: Raw) -> None:
    """Their run names the pod that it waits for; the next attempt finds what they did, and does nothing twice."""
    if not scene.cluster.has_node("kwok"):
        pytest.skip("where no other node is alive, no pod is given up; HEADRACE_TEST_CLUSTER='--node --fake-nodes 4'")
    scene.begin("long", GIVEN_UP_SECONDS)
    (head,) = (each["metadata"]["name"] for each in scene.look("long") if each["metadata"]["labels"][labels.ROLE] == labels.HEAD)  # fmt: skip

    def waits(_: list[Raw]) -> bool:
        reason, message = scene.ready("long")
        return reason == "PodLeaving" and head in message and "delete the Node object" in message

    with silenced(scene.cluster):
        scene.until("the run says what it waits for", "long", waits, SILENT_SECONDS)
        time.sleep(STUCK_SECONDS)
        assert waits([])
    scene.until("complete", "long", lambda _: scene.status("long")["phase"] == "Complete", RECOVERY_SECONDS)
    scene.judge("long", usual, attempt=2, restarts=0, disruptions=1)
