"""Making, changing and removing children as an API server would: idempotent, and never somebody else's child."""

import base64
import secrets
import uuid
from collections.abc import Mapping

from headrace.cluster import Conflict
from headrace.local import logs, ports
from headrace.local.ownership import children_of, key_of_root
from headrace.local.pods import LocalPod, PodStatus
from headrace.local.refusals import AlreadyExists
from headrace.local.store import Key, Store, key_of
from headrace.plan import labels
from headrace.plan.values import Raw

TOKEN_BYTES = 32


def create(store: Store, manifest: Raw, namespace: str, generate: tuple[str, ...] = ()) -> Raw:
    """Adds a child. One that is there is success if it has the same owner and attempt and is not going; else Conflict."""
    placed = in_namespace(manifest, namespace)
    if generate:
        made = {key: base64.b64encode(secrets.token_hex(TOKEN_BYTES).encode()).decode() for key in generate}
        placed = {**placed, "data": {**placed.get("data", {}), **made}}
    try:
        return create_pod(store, placed) if placed["kind"] == "Pod" else store.create(placed)
    except AlreadyExists:
        there = store.get(*key_of(placed))
        if there is not None and _is_the_same(there, placed):
            return there
        raise Conflict(
            f"{placed['kind']} {placed['metadata']['name']} is there already and belongs to another owner or attempt, or is going"
        ) from None


def create_pod(store: Store, manifest: Raw) -> Raw:
    """Adds a pod, with its ports and its place in the order of pods."""
    if (root := key_of_root(manifest, store)) is None:
        raise Conflict(f"the owner of pod {manifest['metadata']['name']} is gone")
    pods = [LocalPod.of(raw) for raw in store.list("Pod")]
    taken = {port for pod in pods for port in pod.status.ports.values()}
    fixed = (manifest["metadata"].get("annotations") or {}).get(labels.LOCAL_PORT)
    chosen = ports.choose(
        manifest["metadata"]["name"], manifest["spec"]["containers"][0], int(fixed) if fixed else None, taken
    )
    sequence = max((pod.status.sequence for pod in pods), default=0) + 1
    uid = str(uuid.uuid4())
    folder = logs.pod_folder(root, manifest["metadata"], uid)
    return store.create({**manifest, "status": PodStatus(ports=chosen, sequence=sequence, folder=folder).wire()}, uid)


def in_namespace(manifest: Raw, namespace: str) -> Raw:
    """The manifest with its namespace written out."""
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "namespace": manifest["metadata"].get("namespace", namespace)},
    }


def _is_the_same(there: Raw, wanted: Raw) -> bool:
    return (
        _owners(there) == _owners(wanted)
        and _attempt(there) == _attempt(wanted)
        and "deletionTimestamp" not in there["metadata"]
    )


def _owners(raw: Raw) -> set[str]:
    return {str(reference["uid"]) for reference in raw["metadata"].get("ownerReferences") or ()}


def _attempt(raw: Raw) -> str | None:
    own: Mapping[str, str] = raw["metadata"].get("labels") or {}
    return own.get(labels.ATTEMPT)


def apply(store: Store, manifest: Raw, namespace: str) -> None:
    """Makes a child what the manifest says, the status and the server's metadata kept; Conflict if it is another owner's or is going."""
    placed = in_namespace(manifest, namespace)
    there = store.get(*key_of(placed))
    if there is None:
        store.create(placed)
    elif _owners(there) != _owners(placed) or "deletionTimestamp" in there["metadata"]:
        raise Conflict(f"{placed['kind']} {placed['metadata']['name']} belongs to another owner, or is going")
    else:
        store.replace(placed)


def delete(store: Store, key: Key, uid: str, grace_seconds: float | None = None) -> None:
    """Removes an object that still has this UID. A pod gets its grace first, and a Deployment stays until its pods are gone."""
    raw = store.get(*key)
    if raw is None or raw["metadata"]["uid"] != uid:
        return
    if raw["kind"] == "Pod":
        store.mark_deleting(key, LocalPod.of(raw).grace_seconds if grace_seconds is None else grace_seconds)
    elif raw["kind"] == "Deployment" and (pods := children_of(uid, store)):
        for pod in pods:
            delete(store, key_of(pod), pod["metadata"]["uid"], grace_seconds)
        store.mark_deleting(key, 0)
    else:
        store.remove(key)
