"""A Deployment's next step: enough ready pods at every moment."""

from typing import Any

import pytest

from headrace.local.deployments import pod_manifest, pod_name, roll
from headrace.local.pods import LocalPod
from headrace.plan import labels


def deployment(replicas: int = 2, image: str = "new", **annotations: str) -> dict[str, Any]:
    """A Deployment."""
    template = {
        "metadata": {"labels": {"role": "server"}, "annotations": annotations},
        "spec": {"containers": [{"image": image}]},
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "d1", "generation": 3},
        "spec": {"replicas": replicas, "template": template},
    }


def pod(of: dict[str, Any], index: int, *, ready: bool = True, deleting: bool = False) -> LocalPod:
    """A pod of the Deployment at a place."""
    manifest = pod_manifest(of, index)
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}
    return LocalPod.of(
        {
            **manifest,
            "metadata": {**manifest["metadata"], "uid": manifest["metadata"]["name"], **going},
            "status": {"ready": ready, "phase": "Running"},
        }
    )


NEW, OLD = deployment(), deployment(image="old")
FIXED, FIXED_OLD = deployment(1, **{labels.LOCAL_PORT: "8080"}), deployment(1, "old", **{labels.LOCAL_PORT: "8080"})
CASES = {
    "all are made at first": (NEW, [], [0, 1], []),
    "what is missing is made": (NEW, [pod(NEW, 0)], [1], []),
    "nothing is done when all is there": (NEW, [pod(NEW, 0), pod(NEW, 1)], [], []),
    "the last places go first": (deployment(1), [pod(NEW, 0), pod(NEW, 1)], [], [pod_name(NEW, 1)]),
    "one more than wanted is made beside the old": (NEW, [pod(OLD, 0), pod(OLD, 1)], [0], []),
    "an old one goes when a new one is ready": (NEW, [pod(OLD, 0), pod(OLD, 1), pod(NEW, 0)], [], [pod_name(OLD, 0)]),
    "no old one goes while the new one is not ready": (
        NEW,
        [pod(OLD, 0), pod(OLD, 1), pod(NEW, 0, ready=False)],
        [],
        [],
    ),
    "an old one that is not ready is not kept": (NEW, [pod(OLD, 0, ready=False), pod(OLD, 1)], [0], [pod_name(OLD, 0)]),
    "the last old one goes at the end": (NEW, [pod(OLD, 1), pod(NEW, 0), pod(NEW, 1)], [], [pod_name(OLD, 1)]),
    "a name is free only when its pod is gone": (NEW, [pod(NEW, 0), pod(NEW, 1, deleting=True)], [], []),
    "none are wanted": (deployment(0), [pod(NEW, 0)], [], [pod_name(NEW, 0)]),
    "with a fixed port the old goes first": (FIXED, [pod(FIXED_OLD, 0)], [], [pod_name(FIXED_OLD, 0)]),
    "with a fixed port the new waits for the old to be gone": (FIXED, [pod(FIXED_OLD, 0, deleting=True)], [], []),
    "with a fixed port the new comes then": (FIXED, [], [0], []),
}


@pytest.mark.parametrize(("of", "pods", "made", "gone"), CASES.values(), ids=CASES.keys())
def test_the_next_step(of, pods, made, gone):
    """Which pods are made and which go follows from the spec and the pods alone."""
    step = roll(of, pods)
    assert [manifest["metadata"]["name"] for manifest in step.create] == [pod_name(of, index) for index in made]
    assert [one.name for one in step.delete] == gone


def test_a_pod_belongs_to_its_deployment_and_has_the_templates_labels():
    """Ownership is a reference; labels are the template's and nothing else."""
    metadata = pod_manifest(NEW, 0)["metadata"]
    assert metadata["labels"] == {"role": "server"}
    assert (metadata["ownerReferences"][0]["kind"], metadata["ownerReferences"][0]["uid"]) == ("Deployment", "d1")


def test_the_fixed_port_goes_to_the_first_pod_only():
    """Two pods cannot listen on one port."""
    of = deployment(2, **{labels.LOCAL_PORT: "8080"})
    assert [labels.LOCAL_PORT in pod_manifest(of, index)["metadata"]["annotations"] for index in (0, 1)] == [
        True,
        False,
    ]


def test_the_status_counts_what_is_ready():
    """readyReplicas counts old and new, updatedReplicas the new."""
    status = roll(NEW, [pod(OLD, 0), pod(NEW, 0, ready=False), pod(NEW, 1)]).status
    assert (status["observedGeneration"], status["replicas"], status["updatedReplicas"], status["readyReplicas"]) == (
        3,
        3,
        2,
        2,
    )
