"""A pod's value from what the API server says."""

import pytest

from headrace.kube.pods import seen_pod
from headrace.plan.values import PodPhase

METADATA = {"name": "head", "uid": "u1", "labels": {"a": "b"}, "resourceVersion": "7"}
REPORT = '{"phase":"Complete","reason":"Complete","time":"2026-01-01T00:00:00Z"}'


def raw(status, **metadata):
    spec = {
        "containers": [{"name": "main", "ports": [{"name": "report", "containerPort": 8265}, {"containerPort": 1}]}]
    }
    return {"kind": "Pod", "metadata": {**METADATA, **metadata}, "spec": spec, "status": status}


def ended(code: int, message: str = "", **more):
    state = {"terminated": {"exitCode": code, "reason": "Error", "message": message}}
    return {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [{"name": "main", "state": state}],
        **more,
    }


def test_a_running_pod():
    """Address, ports by name, readiness."""
    ready = [{"type": "Ready", "status": "True"}]
    pod = seen_pod(raw({"phase": "Running", "podIP": "10.0.0.1", "conditions": ready}))
    assert (pod.phase, pod.ready, pod.address, pod.ports) == (PodPhase.RUNNING, True, "10.0.0.1", {"report": 8265})
    assert (pod.reason, pod.exit_code, pod.deleting, pod.disrupted) == ("", None, False, False)


def test_the_final_report_is_read_from_the_termination_message():
    """A report, and nothing else: other words are the reason of the end."""
    assert seen_pod(raw(ended(0, REPORT))).final.phase == "Complete"
    pod = seen_pod(raw(ended(1, "Traceback")))
    assert (pod.final, pod.exit_code, pod.message) == (None, 1, "Traceback")
    assert seen_pod(raw(ended(1, '{"phase":"Unheard"}'))).final is None


@pytest.mark.parametrize(
    ("status", "disrupted"),
    [
        pytest.param(
            ended(137, conditions=[{"type": "DisruptionTarget", "status": "True"}]), True, id="evicted by the API"
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, True, id="evicted by the kubelet"
        ),
        pytest.param({"phase": "Unknown"}, True, id="its node is lost"),
        pytest.param(ended(137), False, id="killed for memory"),
    ],
)
def test_what_is_no_fault_of_the_pods_own(status, disrupted):
    """Eviction, preemption and lost nodes are disruptions; they end the pod."""
    pod = seen_pod(raw(status))
    assert (pod.phase, pod.disrupted) == (PodPhase.FAILED, disrupted)


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        pytest.param(
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]},
            "Unschedulable", "cannot be placed: 0/3 nodes; add a node that has room for it, or ask for less in the spec", id="no node",
        ),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
            "ImagePullBackOff", "cannot start: no such image", id="no image",
        ),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}]},
            "", "", id="only starting",
        ),
        pytest.param({}, "", "", id="just made"),
    ],
)  # fmt: skip
def test_why_a_pod_waits(status, reason, sentence):
    """What a person may have to do something about, in a sentence that goes with `the pod X`."""
    pod = seen_pod(raw(status))
    assert (pod.phase, pod.reason, pod.message) == (PodPhase.PENDING, reason, sentence)


def test_a_pod_that_goes():
    """Its deletionTimestamp says so."""
    assert seen_pod(raw({"phase": "Running"}, deletionTimestamp="2026-01-01T00:00:00Z")).deleting
