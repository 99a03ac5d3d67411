"""The API server's part of a world: objects, pods and other children, versions, preconditions, owners, and the recent past.

What is stored is never changed, only replaced, so that a snapshot is a shallow copy and may be handed out.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.plan import dependents, labels
from headrace.plan.values import Pod, Raw, Status

PAST_LENGTH = 4


class Snapshot(NamedTuple):
    """Everything at one moment."""

    objects: dict[ObjectKey, HeadraceObject]
    pods: dict[str, Pod]
    children: dict[tuple[str, str], Raw]


@dataclass
class Store:
    """All objects of one namespace."""

    objects: dict[ObjectKey, HeadraceObject] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    controllers: dict[str, str] = field(default_factory=dict)
    """By pod name, the UID of its owner: a custom resource or a Deployment."""
    children: dict[tuple[str, str], Raw] = field(default_factory=dict)
    woken: list[ObjectKey] = field(default_factory=list)
    """Keys to look at, oldest first; whoever delivers events empties it."""
    changes: int = 0
    _uids: int = 0
    _past: deque[Snapshot] = field(default_factory=lambda: deque([Snapshot({}, {}, {})], maxlen=PAST_LENGTH))

    def new_uid(self) -> str:
        """A UID that no object had before."""
        self._uids += 1
        return f"{self._uids:05x}-uid"

    def past(self, lag: int) -> Snapshot:
        """The snapshot of so many changes ago; 0 is now."""
        if lag == 0:
            return Snapshot(self.objects, self.pods, self.children)
        return self._past[max(len(self._past) - 1 - lag, 0)]

    def commit(self) -> None:
        """Makes what has changed visible to readers."""
        self.changes += 1
        self._past.append(Snapshot(dict(self.objects), dict(self.pods), dict(self.children)))

    def wake(self, child_labels: Any) -> None:
        """Has the owner of a child looked at."""
        if kind := child_labels.get(labels.KIND):
            self.woken.append(ObjectKey(kind=Kind(kind), namespace="default", name=child_labels[labels.NAME]))

    def wake_watchers(self, changed: HeadraceObject) -> None:
        """Has an object and those that depend on it looked at."""
        self.woken += sorted(dependents.woken_by(changed, self.objects.values()), key=str)

    def add_object(self, created: HeadraceObject, now: datetime) -> HeadraceObject:
        """Creates an object under a new UID."""
        metadata = created.metadata.model_copy(
            update={
                "uid": self.new_uid(),
                "generation": 1,
                "resource_version": str(self.changes + 1),
                "creation_timestamp": now,
            }
        )
        stored = created.model_copy(update={"metadata": metadata})
        self.objects[stored.key] = stored
        self.wake_watchers(stored)
        self.commit()
        return stored

    def replace_spec(self, old: HeadraceObject, spec: Any) -> HeadraceObject:
        """A user's edit: a new generation."""
        metadata = old.metadata.model_copy(
            update={"generation": old.metadata.generation + 1, "resource_version": str(self.changes + 1)}
        )
        return self._put(old.model_copy(update={"spec": spec, "metadata": metadata}))

    def replace_status(self, old: HeadraceObject, status: Status) -> HeadraceObject:
        """A write to the status subresource: a new version, the same generation."""
        metadata = old.metadata.model_copy(update={"resource_version": str(self.changes + 1)})
        return self._put(old.model_copy(update={"status": status, "metadata": metadata}))

    def _put(self, stored: HeadraceObject) -> HeadraceObject:
        self.objects[stored.key] = stored
        self.wake_watchers(stored)
        self.commit()
        return stored

    def remove_object(self, key: ObjectKey) -> None:
        """Deletes an object; the garbage collector finds its children later."""
        removed = self.objects.pop(key)
        self.wake_watchers(removed)
        self.commit()

    def put_pod(self, pod: Pod, *, wake: bool = True) -> None:
        """Creates or replaces a pod as it is seen."""
        self.pods[pod.name] = pod
        if wake:
            self.wake(pod.labels)

    def remove_pod(self, name: str) -> None:
        """The pod is gone."""
        self.wake(self.pods.pop(name).labels)
        del self.controllers[name]

    def mark_deleting(self, name: str) -> None:
        """A deletion was asked for; the kubelet carries it out."""
        if not self.pods[name].deleting:
            self.put_pod(replace(self.pods[name], deleting=True))

    def put_child(self, child: Raw, *, wake: bool = True) -> None:
        """Creates or replaces a child that is no pod."""
        self.children[child["kind"], child["metadata"]["name"]] = child
        if wake:
            self.wake(child["metadata"].get("labels", {}))

    def remove_child(self, kind: str, name: str) -> None:
        """The child is gone."""
        self.wake(self.children.pop((kind, name))["metadata"].get("labels", {}))

    def living_uids(self) -> set[str]:
        """The UIDs that may own something."""
        return {stored.metadata.uid for stored in self.objects.values()} | {
            child["metadata"]["uid"] for child in self.children.values()
        }


def owner_uid(child: Raw) -> str:
    """The UID of the owner that a manifest names."""
    owners = child["metadata"].get("ownerReferences", [])
    return str(owners[0]["uid"]) if owners else ""
