"""What the watches last told of objects and children, slim, and never older than what this process itself wrote.

Of pods the planner's value is kept, of other children their metadata; nobody's data, and no managedFields.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace.api import environment
from headrace.api.meta import Kind, ObjectKey
from headrace.kube.drift import MENDED, field_owners, is_touched_later
from headrace.kube.pods import MAIN, seen_pod
from headrace.plan import labels
from headrace.plan.values import Pod, PodPhase, Raw

Place = tuple[str, str, str]
"""Kind, namespace, name."""

KINDS = frozenset(map(str, Kind))
KEPT_METADATA = ("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences", "deletionTimestamp")
BURIED = 10_000
"""So many UIDs of what is no more are remembered."""
DROPPED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Entry:
    """One object that is kept."""

    place: Place
    uid: str
    version: int
    owner: str = ""
    """The UID of the custom resource that a child belongs to."""
    key: ObjectKey | None = None
    """The key to look at when it changes."""
    pod: Pod | None = None
    secret: str = ""
    """The name of the Secret with a pod's token."""
    raw: Raw | None = None
    owners: str = ""
    """Who owns which fields of a child that changes."""
    touched: bool = False
    """Whether somebody else changed such a child since the operator last wrote it."""

    @property
    def is_object(self) -> bool:
        """Whether it is a custom resource, and no child of one."""
        return self.place[0] in KINDS


def place_of(raw: Raw) -> Place:
    """Where a raw object is."""
    metadata = raw["metadata"]
    return raw["kind"], metadata.get("namespace", ""), metadata["name"]


def version_of(raw: Raw) -> int:
    """The resourceVersion as the number that it is (Kubernetes 1.35 made the order of versions part of its API)."""
    return int(raw["metadata"]["resourceVersion"])


class Memory:
    """The newest entry of every place."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._entries: dict[Place, Entry] = {}
        self._of_owner: dict[str, set[Place]] = defaultdict(set)
        self._of_kind: dict[tuple[str, str], set[Place]] = defaultdict(set)
        self._pending: Counter[str] = Counter()
        """How many pods wait to run, by owner's UID."""
        self._buried: dict[str, None] = {}
        """The UIDs of what is no more, the oldest first."""

    def put(self, raw: Raw, *, own: bool = False) -> Entry | None:
        """Keeps what the object is now; None if that, or something newer, is known already. `own` is what was just written."""
        place = place_of(raw)
        if raw["metadata"]["uid"] in self._buried:
            return None
        known = self._entries.get(place)
        if known is not None and known.version >= version_of(raw):
            if own and known.version == version_of(raw):
                # The write changed nothing: what somebody else had done was none of the operator's business.
                self._entries[place] = replace(known, touched=False)
            return None
        entry = _entry(raw)
        if entry.place[0] in MENDED and not own:
            entry = replace(entry, touched=_is_touched(known, entry, raw))
        self._drop(known)
        self._entries[place] = entry
        self._of_kind[place[:2]].add(place)
        if entry.owner:
            self._of_owner[entry.owner].add(place)
            self._pending[entry.owner] += _is_pending(entry)
        return entry

    def bury(self, uid: str) -> None:
        """Takes nothing in of this object any more: what tells of it from now on was on its way when it went."""
        self._buried[uid] = None
        if len(self._buried) > BURIED:
            del self._buried[next(iter(self._buried))]

    def remove(self, place: Place, uid: str) -> Entry | None:
        """Forgets an object that is gone; None if another is in its place by now."""
        known = self._entries.get(place)
        if known is None or known.uid != uid:
            return None
        self._drop(known)
        return known

    def get(self, place: Place) -> Entry | None:
        """The entry, or None."""
        return self._entries.get(place)

    def of_owner(self, uid: str) -> list[Entry]:
        """The children of a custom resource, by place."""
        return [self._entries[place] for place in sorted(self._of_owner.get(uid, ()))]

    def has_pending(self, owner: str) -> bool:
        """Whether a pod of this owner waits to run."""
        return self._pending[owner] > 0

    def of_kind(self, kind: str, namespace: str) -> list[Entry]:
        """The objects of a kind in a namespace, by name."""
        return [self._entries[place] for place in sorted(self._of_kind.get((kind, namespace), ()))]

    def entries(self) -> Iterable[Entry]:
        """All of them."""
        return tuple(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, entry: Entry | None) -> None:
        if entry is None:
            return
        del self._entries[entry.place]
        of_kind = self._of_kind[entry.place[:2]]
        of_kind.discard(entry.place)
        if not of_kind:
            del self._of_kind[entry.place[:2]]
        if entry.owner:
            self._of_owner[entry.owner].discard(entry.place)
            self._pending[entry.owner] -= _is_pending(entry)
            if not self._of_owner[entry.owner]:
                del self._of_owner[entry.owner]
                del self._pending[entry.owner]


def _entry(raw: Raw) -> Entry:
    place, uid, version = place_of(raw), raw["metadata"]["uid"], version_of(raw)
    if place[0] in KINDS:
        return Entry(place, uid, version, key=ObjectKey(Kind(place[0]), place[1], place[2]), raw=_without_baggage(raw))
    owner, key = _belongs_to(raw)
    if place[0] == "Pod":
        return Entry(place, uid, version, owner, key, pod=seen_pod(raw), secret=_token_secret(raw))
    owners = field_owners(raw) if place[0] in MENDED else ""
    return Entry(place, uid, version, owner, key, raw=_metadata_alone(raw), owners=owners)


def _is_pending(entry: Entry) -> bool:
    return entry.pod is not None and entry.pod.phase == PodPhase.PENDING


def _is_touched(known: Entry | None, entry: Entry, raw: Raw) -> bool:
    if known is None or known.uid != entry.uid:
        return is_touched_later(raw)
    return known.touched or known.owners != entry.owners


def _belongs_to(raw: Raw) -> tuple[str, ObjectKey | None]:
    own = raw["metadata"].get("labels") or {}
    kind, name = own.get(labels.KIND), own.get(labels.NAME)
    if kind not in KINDS or not name:
        return "", None
    return own.get(labels.UID, ""), ObjectKey(Kind(kind), raw["metadata"].get("namespace", ""), name)


def _without_baggage(raw: Raw) -> Raw:
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    if annotations := metadata.get("annotations"):
        metadata["annotations"] = {name: value for name, value in annotations.items() if name != DROPPED_ANNOTATION}
    return {**raw, "metadata": metadata}


def _metadata_alone(raw: Raw) -> Raw:
    metadata = {name: raw["metadata"][name] for name in KEPT_METADATA if name in raw["metadata"]}
    if digest := (raw["metadata"].get("annotations") or {}).get(labels.HASH):
        metadata["annotations"] = {labels.HASH: digest}
    return {"apiVersion": raw.get("apiVersion", ""), "kind": raw["kind"], "metadata": metadata}


def _token_secret(raw: Raw) -> str:
    for container in raw.get("spec", {}).get("containers") or ():
        if container.get("name") != MAIN:
            continue
        for variable in container.get("env") or ():
            if variable["name"] == environment.TOKEN:
                return str(variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name", ""))
    return ""
