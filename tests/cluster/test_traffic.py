"""The bytes that a run reports as sent, beside those that its pods' network interfaces count.

Needs a cluster with a real node, HEADRACE_TEST_CLUSTER=--node.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.plan import labels
from tests.cluster.conftest import Cluster
from tests.cluster.installation import namespace_with_digits, wait_for

SECONDS = 600
TOLERANCE = 0.02
COUNT = "while cat /sys/class/net/eth0/statistics/tx_bytes; do sleep 0.2; done"

MANIFEST = """
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: traffic}
spec:
  dataset: {pipeline: digits}
  model: {builtin: Perceptron, parameters: {hidden: 1024, layers: 2}}
  steps: 400
  evaluation: {everySteps: 100000}
  workers: {min: 2, max: 2, resources: {cpu: 500m, memory: 2Gi}}
  compression: {int4: {}}
"""


@pytest.fixture
def namespace(cluster: Cluster, operator_image: str, worker_image: str, tmp_path: Path) -> Iterator[str]:
    """With the operator and a dataset."""
    with namespace_with_digits(cluster, "traffic", tmp_path) as name:
        yield name


def workers(cluster: Cluster, namespace: str) -> list[str]:
    """The job's worker pods that run, once there are two."""
    selector = f"--selector={labels.ROLE}={labels.WORKER},{labels.NAME}=traffic"
    deadline = time.monotonic() + SECONDS
    while True:
        pods = cluster.get("pods", "--namespace", namespace, selector)["items"]
        running = [each["metadata"]["name"] for each in pods if each["status"]["phase"] == "Running"]
        if len(running) == 2:
            return running
        assert time.monotonic() < deadline, f"two workers do not run: {[each['status'] for each in pods]}"
        time.sleep(0.5)


def test_the_report_counts_what_pods_send(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """To their end the interfaces of both workers have sent what the report says, within 2 %, all else included."""
    cluster.apply(namespace, MANIFEST)
    counts = {}
    for pod in workers(cluster, namespace):
        counts[pod] = tmp_path / pod
        command = [cluster.kubectl_program, "--kubeconfig", cluster.kubeconfig, "exec", pod, "--namespace", namespace, "--", "sh", "-c", COUNT]  # fmt: skip
        subprocess.Popen(command, stdout=counts[pod].open("w"), stderr=subprocess.DEVNULL)
    wait_for(cluster, namespace, "trainjob/traffic", "Complete", SECONDS)
    said = cluster.get("trainjob/traffic", "--namespace", namespace)["status"]["traffic"]
    assert said["bytesUncompressed"] > 7.5 * said["bytesSent"]
    for pod, file in counts.items():
        sent = int(file.read_text().split()[-1])
        assert abs(sent / said["bytesSent"] - 1) <= TOLERANCE, f"{pod} sent {sent} bytes, the report says {said}"
        print(f"{pod} sent {sent / said['bytesSent']:.4f} of what the report says, {said['bytesSent']} bytes")
