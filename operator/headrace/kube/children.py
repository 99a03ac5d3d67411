"""Making, changing and removing children on the API server: idempotent, and never somebody else's child."""

import base64
import contextlib
import re

from headrace.cluster import Conflict
from headrace.kube.client import Api, Exists, NotFound, Refused, Stale
from headrace.kube.resources import SECRET, Resource, resource_of
from headrace.plan import labels
from headrace.plan.conditions import QUOTA
from headrace.plan.manifests import TOKEN_KEY
from headrace.plan.values import Raw, Refusal


async def create(api: Api, manifest: Raw) -> Raw:
    """POSTs a child; one that is there is success if it has the same owner and attempt and is not going, else Conflict."""
    resource, metadata = resource_of(manifest), manifest["metadata"]
    try:
        return _named(await api.create(resource.path(metadata["namespace"]), manifest), manifest)
    except Exists:
        # Asked by a list, so that no right to get is needed.
        found = await api.list(resource, metadata["namespace"], name=metadata["name"])
    except NotFound as missing:
        if not resource.lacking or missing.message.startswith("namespaces "):
            raise
        raise Refused(missing.code, "NotServed", resource.lacking) from missing
    except Refused as refusal:
        if refusal.reason == "Forbidden" and "being terminated" in refusal.message:
            raise Conflict(f"namespace {metadata['namespace']} is going, and its objects with it") from refusal
        raise
    for there in found.items:
        if _is_the_same(there, manifest):
            return there
    raise Conflict(
        f"{manifest['kind']} {metadata['name']} is there already and belongs to another owner or attempt, or is going"
    )


async def create_secret(api: Api, manifest: Raw, token: str) -> Raw:
    """POSTs the Secret with a run's token; returns what may be remembered of it. One that is there holds the same token."""
    data = {TOKEN_KEY: base64.b64encode(token.encode()).decode()}
    uid = ""
    with contextlib.suppress(Exists):
        made = await api.create(SECRET.path(manifest["metadata"]["namespace"]), {**manifest, "data": data})
        uid = made["metadata"]["uid"]
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}


async def apply(api: Api, manifest: Raw, *, known: bool) -> Raw:
    """Server-side applies a child; one that is not `known` to be ours is looked at first, and left alone if it is another's."""
    resource, metadata = resource_of(manifest), manifest["metadata"]
    if not known:
        found = await api.list(resource, metadata["namespace"], name=metadata["name"])
        if any(_owners(there) != _owners(manifest) for there in found.items):
            raise Conflict(
                f"{manifest['kind']} {metadata['name']} is there already and belongs to somebody else; delete or rename it"
            )
    return _named(await api.apply(resource.path(metadata["namespace"], metadata["name"]), manifest), manifest)


async def delete(
    api: Api, resource: Resource, namespace: str, name: str, uid: str, grace_seconds: int | None
) -> Raw | None:
    """DELETEs an object that still has this UID; returns it as it lingers, None when it is gone."""
    try:
        left = await api.delete(resource.path(namespace, name), uid, grace_seconds)
    except NotFound:
        return None
    except Stale:
        found = await api.list(resource, namespace, name=name)
        if any(there["metadata"]["uid"] == uid for there in found.items):
            # It was in the way of another write, and is there still.
            raise
        return None
    return (
        {**left, "apiVersion": resource.api_version, "kind": resource.kind}
        if "uid" in left.get("metadata", {}) and "deletionTimestamp" in left["metadata"]
        else None
    )


def refusal(manifest: Raw, refused: Refused) -> Refusal:
    """What the API server said of a child that it would not take."""
    word = refused.reason if re.fullmatch("[A-Z][A-Za-z0-9]{0,127}", refused.reason) else "Refused"
    # Quotas have no reason of their own: their sentence tells them from other rules.
    reason = QUOTA if "exceeded quota" in refused.message else word
    return Refusal(manifest["kind"], manifest["metadata"]["name"], reason, refused.message)


def _named(answer: Raw, manifest: Raw) -> Raw:
    """The answer with its kind, which the server leaves out of some."""
    return {"apiVersion": manifest["apiVersion"], **answer, "kind": manifest["kind"]}


def _is_the_same(there: Raw, wanted: Raw) -> bool:
    return (
        _owners(there) == _owners(wanted)
        and (there["metadata"].get("labels") or {}).get(labels.ATTEMPT)
        == wanted["metadata"]["labels"].get(labels.ATTEMPT)
        and "deletionTimestamp" not in there["metadata"]
    )


def _owners(raw: Raw) -> set[str]:
    return {str(reference["uid"]) for reference in raw["metadata"].get("ownerReferences") or ()}
