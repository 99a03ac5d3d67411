"""Who belongs to whom: the custom resource behind a child, its children, and the children whose owner is gone."""

from headrace.api.meta import Kind, ObjectKey
from headrace.local.store import Store
from headrace.plan.values import Raw


def owner_of(raw: Raw, store: Store) -> Raw | None:
    """The stored object that the first ownerReference names; None if there is no such object with this UID."""
    references = raw["metadata"].get("ownerReferences") or ()
    if not references:
        return None
    found = store.get(references[0]["kind"], raw["metadata"]["namespace"], references[0]["name"])
    return found if found is not None and found["metadata"]["uid"] == references[0]["uid"] else None


def root_of(raw: Raw, store: Store) -> Raw | None:
    """The custom resource that the object is, or belongs to, directly or through a Deployment."""
    if raw["kind"] in set(Kind):
        return raw
    owner = owner_of(raw, store)
    return root_of(owner, store) if owner is not None else None


def key_of_root(raw: Raw, store: Store) -> ObjectKey | None:
    """The key of the custom resource behind the object."""
    root = root_of(raw, store)
    if root is None:
        return None
    return ObjectKey(kind=Kind(root["kind"]), namespace=root["metadata"]["namespace"], name=root["metadata"]["name"])


def children_of(uid: str, store: Store) -> list[Raw]:
    """The objects that belong to this UID directly."""
    return [
        raw
        for raw in store.list()
        if uid in {reference["uid"] for reference in raw["metadata"].get("ownerReferences") or ()}
    ]


def orphans(store: Store) -> list[Raw]:
    """The objects whose owner is gone."""
    return [raw for raw in store.list() if raw["metadata"].get("ownerReferences") and owner_of(raw, store) is None]
