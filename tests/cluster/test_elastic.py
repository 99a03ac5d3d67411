"""A group of workers on a real node changes while it trains: scaled out and in, evicted, killed.

Needs a cluster with a real node, HEADRACE_TEST_CLUSTER=--node.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.plan import labels
from tests.cluster.conftest import Cluster
from tests.cluster.installation import namespace_with_digits

SECONDS = 300
EVERY_STEPS = 1000
GROUP = re.compile(r"group (?:is|\d+) of (\d+) workers (?:starts )?from step (\d+)")
KILL_RAYLET = "import os, psutil; [os.kill(each.pid, 9) for each in psutil.process_iter() if each.name() == 'raylet']"

MANIFEST = f"""
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {{name: elastic}}
spec:
  dataset: {{pipeline: digits}}
  model: {{builtin: Perceptron, parameters: {{hidden: 64}}}}
  steps: 100000000
  evaluation: {{everySteps: 100000}}
  workers: {{min: 2, max: 3, desired: 2, resources: {{cpu: 200m, memory: 2Gi}}}}
  compression: {{int4: {{}}}}
  checkpoints: {{everySteps: {EVERY_STEPS}}}
"""


@pytest.fixture
def training(cluster: Cluster, operator_image: str, worker_image: str, tmp_path: Path) -> Iterator["Training"]:
    """The operator, and a job that trains for longer than the test lasts."""
    with namespace_with_digits(cluster, "elastic", tmp_path) as namespace:
        cluster.apply(namespace, MANIFEST)
        yield Training(cluster, namespace)


@dataclass(frozen=True)
class Group:
    """One group, as the head tells of it."""

    number: int
    size: int
    from_step: int


@dataclass(frozen=True)
class Training:
    """The job as its user sees it."""

    cluster: Cluster
    namespace: str

    def status(self) -> dict[str, Any]:
        """The object's status."""
        found: dict[str, Any] = self.cluster.get("trainjob/elastic", "--namespace", self.namespace)["status"]
        return found

    def workers(self) -> dict[str, str]:
        """The UIDs of the worker pods that run and may stay, by their names."""
        pods = self.cluster.get("pods", "--namespace", self.namespace, f"--selector={labels.ROLE}={labels.WORKER}")
        return {
            each["metadata"]["name"]: each["metadata"]["uid"]
            for each in pods["items"]
            if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
        }

    def head_log(self) -> str:
        """What the head has said; nothing before it runs."""
        pods = self.cluster.get("pods", "--namespace", self.namespace, f"--selector={labels.ROLE}={labels.HEAD}")
        names = [
            each["metadata"]["name"]
            for each in pods["items"]
            if each["metadata"]["name"].startswith("elastic") and each["status"]["phase"] == "Running"
        ]
        return self.cluster.kubectl("logs", *names, "--namespace", self.namespace) if names else ""

    def groups(self) -> list[Group]:
        """All groups so far."""
        found = GROUP.finditer(self.head_log())
        return [Group(number, *(int(each) for each in match.groups())) for number, match in enumerate(found, 1)]

    def last_group(self) -> int:
        """The number of the group that trains now."""
        return self.groups()[-1].number

    def trains(self, size: int, after: int) -> Group:
        """The first group of this size after that number, once it has trained beyond a checkpoint."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = [each for each in self.groups() if each.size == size and each.number > after]
            step = self.status().get("progress", {}).get("step", 0)
            if found and step > found[0].from_step + EVERY_STEPS:
                return found[0]
            assert time.monotonic() < deadline, f"no group of {size} after number {after} trains: {self.groups()}, step {step}: {json.dumps(self.status())}"  # fmt: skip
            time.sleep(2)


def test_a_group_changes_while_it_trains(training: Training) -> None:
    """2, 3, 2 by kubectl scale, an eviction: survivors keep their pods and no step is lost; a kill costs no checkpoint."""
    cluster, namespace = training.cluster, training.namespace
    training.trains(2, 0)
    first = training.workers()
    assert len(first) == 2

    before, number = training.status()["progress"]["step"], training.last_group()
    cluster.kubectl("scale", "trainjob/elastic", "--replicas=3", "--namespace", namespace)
    three = training.trains(3, number)
    assert three.from_step >= before
    grown = training.workers()
    assert grown.items() > first.items()

    before, number = training.status()["progress"]["step"], training.last_group()
    cluster.kubectl("scale", "trainjob/elastic", "--replicas=2", "--namespace", namespace)
    shrunk = training.trains(2, number)
    assert shrunk.from_step >= before
    survivors = training.workers()
    assert len(survivors) == 2
    assert survivors.items() < grown.items()

    evicted = min(survivors)
    before, number = training.status()["progress"]["step"], training.last_group()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{evicted}/eviction"
    cluster.kubectl("create", "--raw", path, "--filename=-", manifest=json.dumps(eviction))
    replaced = training.trains(2, number)
    assert replaced.from_step >= before
    now = training.workers()
    assert now[max(survivors)] == survivors[max(survivors)]
    assert evicted not in now or now[evicted] != survivors[evicted]
    assert training.status().get("restarts", 0) == 0

    before, number = training.status()["progress"]["step"], training.last_group()
    cluster.kubectl("exec", max(survivors), "--namespace", namespace, "--", "python", "-c", KILL_RAYLET)
    recovered = training.trains(2, number)
    assert recovered.from_step >= before
    assert training.status()["restarts"] == 1
    said = {each["type"]: each for each in training.status()["conditions"]}
    assert (said["Elastic"]["status"], said["Elastic"]["reason"]) == ("True", "Quorum")
    assert "group 2 of" not in training.head_log(), "the group was started anew"
    assert min(now) in training.workers() or max(now) in training.workers()
