"""A Deployment's pods: which to make and which to let go, so that there are always enough ready ones. Pure.

The part of Kubernetes' Deployment controller that Headrace's own manifests use: maxSurge 1, maxUnavailable 0.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.local.pods import LocalPod
from headrace.plan import labels
from headrace.plan.values import Raw


@dataclass(frozen=True)
class Rollout:
    """What brings a Deployment nearer to its spec, and the status that goes with what was seen."""

    create: tuple[Raw, ...]
    delete: tuple[LocalPod, ...]
    status: Raw


def roll(deployment: Raw, pods: Sequence[LocalPod]) -> Rollout:
    """The next step of a Deployment whose pods these are."""
    spec = deployment["spec"]
    replicas = int(spec.get("replicas", 1))
    wanted = [pod_name(deployment, index) for index in range(replicas)]
    live = [pod for pod in pods if not pod.deleting]
    current = [pod for pod in live if pod.name in wanted]
    surplus = [pod for pod in live if pod.name not in wanted and pod.name.startswith(_prefix(deployment))]
    old = [pod for pod in live if not pod.name.startswith(_prefix(deployment))]
    taken = {pod.name for pod in pods}
    missing = [index for index, name in enumerate(wanted) if name not in taken]
    ready = sum(pod.status.ready for pod in current)
    if _has_fixed_port(deployment):
        # The old pod and the new one cannot listen on one port at the same time.
        made = missing if all(pod.name.startswith(_prefix(deployment)) for pod in pods) else []
        gone = old
    else:
        made = missing[: max(replicas + 1 - len(current) - len(old), 0)] if old else missing
        gone = _spare(old, keep=max(replicas - ready, 0))
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(live),
        "updatedReplicas": len(current),
        "readyReplicas": sum(pod.status.ready for pod in live),
        "availableReplicas": sum(pod.status.ready for pod in live),
    }
    return Rollout(tuple(pod_manifest(deployment, index) for index in made), tuple(surplus + gone), status)


def _spare(old: Sequence[LocalPod], keep: int) -> list[LocalPod]:
    """The old pods that are not needed any more: all that are not ready, and the ready ones beyond `keep`."""
    ready = [pod for pod in old if pod.status.ready]
    return [pod for pod in old if not pod.status.ready] + ready[: max(len(ready) - keep, 0)]


def _prefix(deployment: Raw) -> str:
    template = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return f"{deployment['metadata']['name']}-{hashlib.sha256(template.encode()).hexdigest()[:10]}-"


def pod_name(deployment: Raw, index: int) -> str:
    """The name of the pod at a place: a function of the Deployment's name and template."""
    return f"{_prefix(deployment)}{index}"


def _has_fixed_port(deployment: Raw) -> bool:
    return labels.LOCAL_PORT in (deployment["spec"]["template"].get("metadata", {}).get("annotations") or {})


def pod_manifest(deployment: Raw, index: int) -> Raw:
    """The pod at a place; only the first one gets the fixed port."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    annotations = dict(template.get("metadata", {}).get("annotations") or {})
    if index:
        annotations.pop(labels.LOCAL_PORT, None)
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {
            "name": pod_name(deployment, index), "namespace": metadata["namespace"], "annotations": annotations,
            "labels": dict(template.get("metadata", {}).get("labels") or {}), "ownerReferences": [owner],
        },
    }  # fmt: skip
