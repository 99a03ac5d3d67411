"""Where a Service's address leads on this machine."""

import pytest

from headrace.local.pods import LocalPod
from headrace.local.refusals import NotYet
from headrace.local.services import resolve

SERVICE = {
    "kind": "Service", "metadata": {"name": "head", "namespace": "default"},
    "spec": {"selector": {"role": "head"}, "ports": [{"name": "ray", "port": 6379, "targetPort": "ray"}, {"name": "web", "port": 80, "targetPort": 8000}, {"port": 9, "targetPort": "none"}]},
}  # fmt: skip


def pod(name="one", sequence=1, port=20001, role="head", namespace="default", deleting=False, **status) -> LocalPod:
    """A stored pod with a ray port and an http port beside it."""
    return LocalPod.of({
        "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": {"role": role}, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})},
        "spec": {"containers": [{"ports": [{"name": "ray", "containerPort": 6379}, {"name": "http", "containerPort": 8000}]}]},
        "status": {"ports": {"ray": port, "http": port + 1}, "sequence": sequence, **status},
    })  # fmt: skip


CASES = {
    "by the port's number": ("head:6379", [pod()], "127.0.0.1:20001"),
    "by the port's name": ("head:ray", [pod()], "127.0.0.1:20001"),
    "by the number of the container's port": ("head:80", [pod()], "127.0.0.1:20002"),
    "by a longer name": ("head.default.svc:6379", [pod()], "127.0.0.1:20001"),
    "by the whole name": ("head.default.svc.cluster.local:6379", [pod()], "127.0.0.1:20001"),
    "to a ready pod first": ("head:6379", [pod("new", 2, 20010), pod("old", 1, 20020, ready=True)], "127.0.0.1:20020"),
    "to the newest pod then": ("head:6379", [pod("old", 1, 20010), pod("new", 2, 20020)], "127.0.0.1:20020"),
    "never to a pod that has ended or goes": (
        "head:6379",
        [pod("a", 3, 1, phase="Failed"), pod("b", 2, 2, deleting=True), pod("c", 1, 20030)],
        "127.0.0.1:20030",
    ),
    "not for another host": ("other:6379", [pod()], None),
    "not for another port": ("head:1", [pod()], None),
    "not for a text that is no address": ("/bin:/usr/bin", [pod()], None),
    "not for an empty text": ("", [pod()], None),
}


@pytest.mark.parametrize(("value", "pods", "address"), CASES.values(), ids=CASES.keys())
def test_an_address_leads_to_a_pod(value, pods, address):
    """A Service's address is the loopback port of a pod that it selects."""
    assert resolve(value, "default", [SERVICE], pods) == address


@pytest.mark.parametrize(
    "pods", [[], [pod(role="worker")], [pod(namespace="other")]], ids=["none", "other labels", "other namespace"]
)
def test_a_service_without_a_pod_is_waited_for(pods):
    """A pod that needs a Service waits until there is a pod behind it."""
    with pytest.raises(NotYet, match="waits for a pod behind the Service head"):
        resolve("head:6379", "default", [SERVICE], pods)
