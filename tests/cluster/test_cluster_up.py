"""The test cluster itself: what the other tests of this folder build on."""

import json

import pytest

from tests.cluster.conftest import Cluster

pytestmark = pytest.mark.cluster

FAKE_POD = """
apiVersion: v1
kind: Pod
metadata: {name: head}
spec:
  restartPolicy: Never
  nodeSelector: {type: kwok}
  tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]
  containers:
  - {name: main, image: localhost/any:1, resources: {limits: {nvidia.com/gpu: 8}}}
"""

DNS_POD = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: main
    image: IMAGE
    command: [python, -c, "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"""

READY_SECONDS = 30


def needs_node(cluster: Cluster, node_type: str) -> None:
    if not cluster.has_node(node_type):
        pytest.skip(f"this cluster has no node of the type {node_type}")


def test_the_api_server_is_ready(cluster: Cluster) -> None:
    """The API server says of itself that it is ready."""
    assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_restricted_namespaces_refuse_pods_that_run_as_root(cluster: Cluster, namespace: str) -> None:
    """Pod Security admission is at work."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        cluster.apply(namespace, FAKE_POD)


def test_a_pod_of_a_fake_node_ends_with_the_message_of_its_annotation(cluster: Cluster, namespace: str) -> None:
    """A pod of a fake node runs until it is annotated, and then ends with the report that the test wrote."""
    needs_node(cluster, "kwok")
    report = json.dumps({"phase": "Complete", "message": 'two "lines"\nof text'})
    cluster.apply(namespace, FAKE_POD)
    cluster.wait_for_phase(namespace, "head", "Running", READY_SECONDS)
    cluster.kubectl(
        "annotate", "pod", "head", "--namespace", namespace,
        "headrace.dev/kwok-exit-after=1s", f"headrace.dev/kwok-message={report}",
    )  # fmt: skip
    ended = cluster.wait_for_phase(namespace, "head", "Succeeded", READY_SECONDS)
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == report


def test_a_pod_of_a_fake_node_fails_with_the_code_of_its_annotation(cluster: Cluster, namespace: str) -> None:
    """An exit code other than 0 makes the pod Failed."""
    needs_node(cluster, "kwok")
    cluster.apply(namespace, FAKE_POD)
    cluster.kubectl(
        "annotate", "pod", "head", "--namespace", namespace,
        "headrace.dev/kwok-exit-after=0s", "headrace.dev/kwok-exit-code=3",
    )  # fmt: skip
    ended = cluster.wait_for_phase(namespace, "head", "Failed", READY_SECONDS)
    assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_a_pod_of_the_real_node_resolves_the_name_of_a_service(
    cluster: Cluster, namespace: str, operator_image: str
) -> None:
    """Containers, the cluster's DNS and the operator's image work together, restricted as the operator's pods are."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    cluster.apply(namespace, DNS_POD.replace("IMAGE", operator_image))
    cluster.wait_for_phase(namespace, "client", "Succeeded", READY_SECONDS)
    assert cluster.kubectl("logs", "client", "--namespace", namespace).strip() == "10.96.0.1"
