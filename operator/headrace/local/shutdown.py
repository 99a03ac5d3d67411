"""Ending every pod in an order that lets runs save their state: first all but workers, then workers, within one bound.

Before a pod is asked to go its status says that it was taken away, and afterwards the pod is removed: the next plan sees
a run that was disturbed from outside, and resumes it without spending a restart.
"""

import asyncio
import time
from collections.abc import Sequence

from headrace.local.node import Node
from headrace.local.pods import LocalPod, changed
from headrace.local.store import Store
from headrace.plan import labels

LOOK_SECONDS = 0.05
WORKERS_SHARE = 0.25
"""The share of the bound that is kept for workers when a head does not end."""
REMOVAL_SECONDS = 10.0


async def end_all(store: Store, node: Node, grace_seconds: float) -> None:
    """Has the node's turns end all pods; on return none has a process, and those that had not ended before are removed."""
    node.placing = False
    ends = time.monotonic() + grace_seconds
    for pod in _unfinished(store):
        store.save_status(
            pod.key, changed(pod.status, disrupted=True, reason="Shutdown", message="was stopped with headrace").wire()
        )
    while pods := _unfinished(store):
        left = ends - time.monotonic()
        for pod in pods:
            if not pod.deleting and (left <= grace_seconds * WORKERS_SHARE or not _awaits_head(pod, pods)):
                store.mark_deleting(pod.key, max(left, 0.0))
        if left <= 0:
            await node.kill_all()
        if left <= -REMOVAL_SECONDS:
            raise TimeoutError(
                f"pods {', '.join(pod.name for pod in pods)} could not be ended; look for their processes with ps"
            )
        await asyncio.sleep(LOOK_SECONDS)


def _unfinished(store: Store) -> list[LocalPod]:
    return [pod for raw in store.list("Pod") if not (pod := LocalPod.of(raw)).terminated]


def _awaits_head(pod: LocalPod, pods: Sequence[LocalPod]) -> bool:
    """Whether it is a worker whose head still runs."""
    return pod.labels.get(labels.ROLE) == labels.WORKER and any(
        other.labels.get(labels.ROLE) == labels.HEAD and _owner(other) == _owner(pod) and other.status.running
        for other in pods
    )


def _owner(pod: LocalPod) -> list[str]:
    return [str(reference["uid"]) for reference in pod.raw["metadata"].get("ownerReferences") or ()]
