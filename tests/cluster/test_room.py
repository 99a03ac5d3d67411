"""Too little room on real accounts of a real scheduler: a run that holds a part of what it needs gives it back."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.api.meta import API_VERSION, Kind
from headrace.kube import Api, connect
from headrace.kube.resources import BY_KIND
from headrace.plan import labels
from tests.cluster.conftest import Cluster
from tests.cluster.crash import SPECS, TOLERATION, start
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
GPUS = 8
SECONDS = 90
LOOK_SECONDS = 0.3
JOBS = BY_KIND[str(Kind.TRAIN_JOB)]


@dataclass(frozen=True)
class Jobs:
    """TrainJobs in a namespace, whose workers each need all GPUs of a node."""

    cluster: Cluster
    api: Api
    namespace: str

    async def make(self, name: str, workers: int) -> None:
        """A job that starts with so many workers or not at all."""
        spec = {
            **SPECS[Kind.TRAIN_JOB], "pods": TOLERATION, "scheduleTimeoutSeconds": 3,
            "workers": {"min": workers, "max": workers, "resources": {"cpu": "1", "memory": "1Gi", "gpu": GPUS}},
        }  # fmt: skip
        body = {"apiVersion": API_VERSION, "kind": "TrainJob", "metadata": {"name": name}, "spec": spec}
        await self.api.create(JOBS.path(self.namespace), body)

    async def status(self, name: str) -> Raw:
        """A job's status."""
        return dict((await self.api.get(JOBS.path(self.namespace, name))).get("status") or {})

    def waiting(self, name: str) -> list[str]:
        """Why pods of a job have no node."""
        pods = self.cluster.get("pods", "--namespace", self.namespace, f"--selector={labels.NAME}={name}")["items"]
        return [condition["reason"] for pod in pods for condition in pod["status"].get("conditions", ())
                if condition["type"] == "PodScheduled" and condition["status"] == "False"]  # fmt: skip

    async def until(self, name: str, what: str, holds: Any) -> Raw:
        """A job's status, once it is as it should be."""
        deadline = time.monotonic() + SECONDS
        while not holds(status := await self.status(name)):
            assert time.monotonic() < deadline, f"{name} is not {what} within {SECONDS} s: {status}"
            await asyncio.sleep(LOOK_SECONDS)
        return status


@pytest.fixture
async def jobs(defined: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jobs]:
    """An operator for a namespace of its own."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    api, name = await connect(), f"room-{uuid.uuid4().hex[:8]}"
    await api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    config = tmp_path / "config.yaml"
    config.write_text(defined.kubeconfig.read_text())
    operator = await start(config, name)
    try:
        yield Jobs(defined, api, name)
    finally:
        operator.terminate()
        await operator.wait()
        defined.kubectl("delete", "namespace", name, "--wait=false")
        await api.close()


async def test_a_run_does_not_sit_on_what_another_could_use(jobs: Jobs) -> None:
    """Of so many nodes one job needs all and a taken one: it gives back what it has, another runs, then it has its turn."""
    nodes = len(jobs.cluster.get("nodes", "--selector=type=kwok")["items"])
    taken = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "taken"},
        "spec": {**TOLERATION, "containers": [{"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": str(GPUS)}}}]},
    }  # fmt: skip
    await jobs.api.create(f"/api/v1/namespaces/{jobs.namespace}/pods", taken)
    jobs.cluster.wait_for_phase(jobs.namespace, "taken", "Running", SECONDS)
    await jobs.make("large", nodes)
    await jobs.until("large", "short of one worker", lambda status: status.get("workers", {}).get("ready") == nodes - 1)
    assert jobs.waiting("large") == ["Unschedulable"]
    await jobs.make("small", nodes - 1)

    back = await jobs.until("large", "without its pods", lambda status: status.get("releases", 0) > 0)
    assert back["incidents"][-1]["reason"] == "NoRoom"
    await jobs.until("small", "whole", lambda status: status.get("workers", {}).get("ready") == nodes - 1)

    jobs.cluster.kubectl("delete", "pod/taken", "trainjob/small", "--namespace", jobs.namespace)
    whole = await jobs.until("large", "whole", lambda status: status.get("workers", {}).get("ready") == nodes)
    assert (whole.get("restarts", 0), whole.get("disruptions", 0)) == (0, 0)
    assert whole["attempt"] == whole["releases"] + 1
