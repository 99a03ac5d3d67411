"""KubeCluster: the port on a Kubernetes API server. What it remembers comes from watches and from its own writes."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

from pydantic import ValidationError

from headrace.api.meta import Condition, Kind, ObjectKey
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, TrainJob, parse_object
from headrace.cluster import ChildrenRefused, Conflict, Unavailable
from headrace.inbox import Inboxes
from headrace.kube import children, client, unreadable
from headrace.kube.client import Api, NotFound
from headrace.kube.made_secrets import MadeSecrets
from headrace.kube.memory import Entry, Memory, Place, place_of
from headrace.kube.reports import Reports
from headrace.kube.resources import BY_KIND, POD, POD_GROUPS, SECRET, Resource, resource_of
from headrace.kube.starts import Starts
from headrace.kube.tokens import token_for
from headrace.plan import labels
from headrace.plan.dependents import learns_from, offers_to, related, starts_from, woken_by
from headrace.plan.values import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteSelf,
    Observed,
    Pod,
    PodPhase,
    Push,
    Raw,
    Refusal,
    Settings,
    Status,
)

logger = logging.getLogger(__name__)

WRITES_AT_ONCE = 24
"""Of one object's pods."""

LACKS_CONFIG = "CreateContainerConfigError"
"""Why a container waits whose Secret is gone."""


class NotLeader(Unavailable):
    """Another replica of the operator may hold the lease by now: this one writes nothing."""


class KubeCluster:
    """A world of one API server. Fed by `saw` and `gone`; writes only while `may_write` says so."""

    def __init__(self, api: Api, settings: Settings, key: bytes, may_write: Callable[[], bool]) -> None:
        """`key` is what the runs' tokens are derived from."""
        self._api = api
        self._settings = settings
        self._key = key
        self._may_write = may_write
        self._memory = Memory()
        self._typed: dict[ObjectKey, tuple[int, HeadraceObject]] = {}
        self._starters: dict[ObjectKey, None] = {}
        """The jobs that start from what other jobs and endpoints have: to ask all jobs at each change would take too long."""
        self._unreadable: dict[ObjectKey, tuple[int, str]] = {}
        """What is wrong with objects that this version cannot read, by their version."""
        self._secrets = MadeSecrets()
        self._refusals: dict[str, tuple[Refusal, ...]] = {}
        """What was refused, by owner's UID."""
        self._inboxes = Inboxes()
        self._starts = Starts(lambda key: self._inboxes.tell({key}))
        self.reports: Reports | None = None
        """The live reports; set once there is a session to pull them with."""

    # What feeds it.

    def saw(self, raw: Raw) -> None:
        """Takes in what an object is now, from a watch, a list or a write."""
        place = place_of(raw)
        before = self._memory.get(place)
        if (entry := self._memory.put(raw)) is None:
            return
        if before is not None and before.uid != entry.uid:
            self._wake(before)
        if entry.pod is not None and entry.pod.reason == LACKS_CONFIG:
            self._secrets.doubt(entry.owner)
        if entry.key and before is not None and _starts(entry, before):
            self._starts.began(entry.key, others_wait=self._memory.has_pending(entry.owner))
        elif before is None or _is_news(entry, before):
            self._wake(entry)

    def gone(self, raw: Raw) -> None:
        """Takes in that an object is no more.

        The answer to the request that deleted it may come later, and has it as it was before.
        """
        self._memory.bury(raw["metadata"]["uid"])
        self.forget(place_of(raw), raw["metadata"]["uid"])

    def forget(self, place: Place, uid: str) -> None:
        """Takes in that there is no object of this UID in this place."""
        if (entry := self._memory.remove(place, uid)) is None:
            return
        self._wake(entry)
        if entry.is_object and entry.key:
            self._typed.pop(entry.key, None)
            self._starters.pop(entry.key, None)
            self._unreadable.pop(entry.key, None)
            self._secrets.doubt(entry.uid)
            self._refusals.pop(entry.uid, None)

    def heard(self, entry: Entry) -> None:
        """Takes in that a pod's report is new."""
        if entry.key:
            self._tell({entry.key})

    def doubt_old_secrets(self) -> None:
        """Has Secrets that were made long ago be made again, where they are gone."""
        for entry in self._memory.entries():
            if entry.key and entry.is_object and self._secrets.is_doubtful(entry.uid):
                self._secrets.doubt(entry.uid)
                self._tell({entry.key})

    def forget_leftovers(self) -> None:
        """Forgets what a pass noted of an object that was gone when it ended."""
        uids = {entry.uid for entry in self._memory.entries() if entry.is_object}
        self._refusals = {uid: refusals for uid, refusals in self._refusals.items() if uid in uids}
        self._secrets.keep(uids)

    def wake_all(self) -> None:
        """Has every object looked at."""
        self._tell(self._object_keys())

    def patience(self, key: ObjectKey) -> float:
        """The seconds for which other objects may be looked at before this one."""
        return self._starts.patience(key)

    def entries(self) -> Iterable[Entry]:
        """Everything that is remembered."""
        return self._memory.entries()

    def pod_entries(self) -> Iterable[Entry]:
        """The pods that are remembered."""
        return (entry for entry in self._memory.entries() if entry.pod is not None)

    def uid_of(self, key: ObjectKey) -> str:
        """The UID of an object; empty if there is none."""
        entry = self._memory.get(_place(key))
        return entry.uid if entry else ""

    def pod_groups(self) -> set[Resource]:
        """The APIs of PodGroups that are used: by what an object says, or by what is remembered."""
        used: set[Resource] = set()
        for entry in self._memory.entries():
            if entry.raw and entry.is_object:
                gang = (entry.raw.get("spec") or {}).get("gang") or {}
                used.update(resource for choice, resource in POD_GROUPS.items() if choice in gang)
            elif entry.raw and entry.place[0] == "PodGroup":
                used.add(resource_of(entry.raw))
        return used

    def phases(self) -> Iterable[tuple[ObjectKey, str]]:
        """Every object's phase."""
        for entry in self._memory.entries():
            if entry.is_object and entry.key and entry.raw:
                yield entry.key, str((entry.raw.get("status") or {}).get("phase", "Pending"))

    def running(self) -> Iterable[tuple[ObjectKey, Raw]]:
        """The statuses of the objects that run."""
        for entry in self._memory.entries():
            status = (entry.raw.get("status") or {}) if entry.is_object and entry.raw else {}
            if entry.key and status.get("phase") == "Running":
                yield entry.key, status

    def token(self, entry: Entry) -> str:
        """The token of the run that a pod belongs to."""
        return token_for(self._key, entry.owner, entry.secret) if entry.secret else ""

    # The port.

    async def observe(self, key: ObjectKey) -> Observed | None:
        """The object with its children, related objects and reports; None if there is no such object."""
        self._starts.forget(key)
        resource = self._resource(key)
        if resource is None:
            return None
        uid = resource.metadata.uid
        owned = [entry for entry in self._memory.of_owner(uid) if entry.place[1] == key.namespace]
        pods = tuple(self._live(entry, entry.pod) for entry in owned if entry.pod is not None)
        seen = (_as_left(entry, entry.raw) for entry in owned if entry.raw is not None)
        others = tuple(raw for raw in seen if raw is not None) + self._secrets.of(uid)
        kin = related(resource, self._others(resource))
        return Observed(resource, pods, others, kin, self._settings, self._refusals.get(uid, ()))

    async def say_unreadable(self, key: ObjectKey, now: datetime) -> Condition | None:
        """Has an object's status say that this version cannot read it; returns that condition, or None if it can."""
        entry = self._memory.get(_place(key))
        if entry is None or entry.raw is None or self._resource(key) is not None:
            return None
        condition = unreadable.stalled(entry.raw, self._unreadable[key][1], now)
        status = unreadable.status(entry.raw, condition)
        if status == entry.raw.get("status"):
            return condition
        self._fence()
        path = BY_KIND[str(key.kind)].path(key.namespace, key.name, "status")
        try:
            self.saw(await self._api.update(path, {**entry.raw, "status": status}))
        except client.Refused as refused:
            # A rule that came later holds for the object as a whole: then an Event has to do.
            logger.info("%s: its status cannot say so: %s", key, refused.message)
        return condition

    async def save_status(self, observed: Observed, status: Status) -> None:
        """Makes `status` the object's status; Conflict if the object has changed since it was observed."""
        resource = observed.object
        entry = self._memory.get(_place(resource.key))
        if entry is None or entry.raw is None or str(entry.version) != resource.metadata.resource_version:
            raise Conflict(f"{resource.key} has changed since it was observed")
        if resource.status == status:
            return
        self._fence()
        path = BY_KIND[resource.kind].path(resource.metadata.namespace, resource.metadata.name, "status")
        try:
            self.saw(await self._api.update(path, {**entry.raw, "status": status.wire()}))
        except NotFound:
            self.forget(entry.place, entry.uid)
            raise Conflict(f"{resource.key} is gone") from None

    async def apply(self, observed: Observed, action: Action) -> None:
        """Carries out one action of a plan; ChildrenRefused if the API server will not take the child."""
        self._fence()
        try:
            await self._carry_out(observed, action)
        except client.Refused as refused:
            if not isinstance(action, Create | Apply):
                raise
            raise ChildrenRefused(children.refusal(action.manifest, refused)) from refused

    async def _carry_out(self, observed: Observed, action: Action) -> None:
        metadata = observed.object.metadata
        match action:
            case Create() if action.manifest["kind"] == SECRET.kind:
                await self._create_secret(action.manifest, metadata.uid)
            case Create() if (there := self._memory.get(place_of(action.manifest))) and there.touched:
                await self._apply(action.manifest)
            case Create():
                self.saw(await children.create(self._api, action.manifest))
            case Apply():
                await self._apply(action.manifest)
            case Delete() if action.kind == SECRET.kind:
                # It goes with its owner: that takes no right to delete Secrets.
                self._secrets.remove(metadata.uid, action.name)
            case Delete():
                await self._delete((action.kind, metadata.namespace, action.name), action.uid, action.grace_seconds)
            case DeleteSelf():
                await self._delete(_place(observed.object.key), action.uid, None)
            case Push():
                entry = self._memory.get((POD.kind, metadata.namespace, action.pod))
                if entry is not None and self.reports is not None:
                    await self.reports.push(entry, action.path, action.body)

    async def apply_together(self, observed: Observed, actions: Sequence[Action]) -> None:
        """Carries out actions side by side, so many at once; raises the first failure after all were tried."""
        gate = asyncio.Semaphore(WRITES_AT_ONCE)

        async def one(action: Action) -> None:
            async with gate:
                await self.apply(observed, action)

        results = await asyncio.gather(*map(one, actions), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        refusals = [failure for failure in failures if isinstance(failure, ChildrenRefused)]
        for failure in failures:
            if failure not in refusals:
                raise failure
        if refusals:
            raise ChildrenRefused(*(each for failure in refusals for each in failure.refusals))

    def note_refusals(self, observed: Observed, refusals: tuple[Refusal, ...]) -> None:
        """Has what was refused be observed until the next plan was acted on."""
        uid = observed.object.metadata.uid
        if refusals:
            self._refusals[uid] = refusals
        else:
            self._refusals.pop(uid, None)

    def watch(self) -> AsyncIterator[ObjectKey]:
        """Keys that may have changed; every key once at the start."""
        return self._inboxes.watch(self._object_keys())

    # How.

    def _fence(self) -> None:
        if not self._may_write():
            raise NotLeader("another replica of the operator may hold the lease; nothing is written")

    async def _create_secret(self, manifest: Raw, owner_uid: str) -> None:
        name = manifest["metadata"]["name"]
        made = await children.create_secret(self._api, manifest, token_for(self._key, owner_uid, name))
        self._secrets.add(owner_uid, made)

    async def _apply(self, manifest: Raw) -> None:
        known = self._memory.get(place_of(manifest)) is not None
        written = await children.apply(self._api, manifest, known=known)
        if entry := self._memory.put(written, own=True):
            self._wake(entry)

    async def _delete(self, place: Place, uid: str, grace_seconds: int | None) -> None:
        entry = self._memory.get(place)
        resource = resource_of(entry.raw) if entry is not None and entry.raw is not None else BY_KIND.get(place[0])
        if resource is None:
            # Of a kind that there is twice, and forgotten meanwhile: it is gone.
            return
        left = await children.delete(self._api, resource, place[1], place[2], uid, grace_seconds)
        if left is not None:
            self.saw(left)
        else:
            self.forget(place, uid)

    def _object_keys(self) -> set[ObjectKey]:
        return {entry.key for entry in self._memory.entries() if entry.is_object and entry.key}

    def _live(self, entry: Entry, pod: Pod) -> Pod:
        report = self.reports.newest(entry.uid) if self.reports else None
        return dataclasses.replace(pod, live=report) if report else pod

    def _resource(self, key: ObjectKey) -> HeadraceObject | None:
        """The typed object, parsed once a version; one that this version cannot read is told of and left alone."""
        entry = self._memory.get(_place(key))
        if entry is None or entry.raw is None:
            return None
        known = self._typed.get(key)
        if known is not None and known[0] == entry.version:
            return known[1]
        if key in self._unreadable and self._unreadable[key][0] == entry.version:
            return None
        try:
            resource = parse_object(entry.raw)
        except ValidationError as error:
            words = unreadable.sentence(error)
            if self._unreadable.get(key, (0, ""))[1] != words:
                logger.warning("%s: %s", key, words, extra={"key": key})
            self._unreadable[key] = entry.version, words
            return None
        self._unreadable.pop(key, None)
        self._typed[key] = (entry.version, resource)
        if isinstance(resource, TrainJob) and starts_from(resource):
            self._starters[key] = None
        else:
            self._starters.pop(key, None)
        return resource

    def _others(self, resource: HeadraceObject) -> list[HeadraceObject]:
        """The objects that this one's plan may look at."""
        namespace = resource.metadata.namespace
        if isinstance(resource, InferenceEndpoint):
            return self._of_kinds((Kind.TRAIN_JOB, Kind.TUNE_JOB), namespace)
        if isinstance(resource, DataPipeline):
            return []
        named = (learns_from(resource), starts_from(resource))
        found = (self._resource(key) for key in named if key)
        return [other for other in found if other]

    def _of_kinds(self, kinds: tuple[Kind, ...], namespace: str) -> list[HeadraceObject]:
        entries = (entry for kind in kinds for entry in self._memory.of_kind(str(kind), namespace))
        found = (self._resource(entry.key) for entry in entries if entry.key)
        return [resource for resource in found if resource is not None]

    def _wake(self, entry: Entry) -> None:
        if entry.key is None:
            return
        if not entry.is_object:
            self._tell({entry.key})
            return
        changed = self._resource(entry.key) or self._last_known(entry.key)
        self._tell(woken_by(changed, self._watchers(changed)) if changed else {entry.key})

    def _tell(self, keys: Iterable[ObjectKey]) -> None:
        urgent = set(keys)
        for key in urgent:
            self._starts.forget(key)
        self._inboxes.tell(urgent)

    def _last_known(self, key: ObjectKey) -> HeadraceObject | None:
        known = self._typed.get(key)
        return known[1] if known else None

    def _watchers(self, changed: HeadraceObject) -> list[HeadraceObject]:
        """The objects whose plan may look at this one."""
        namespace = changed.metadata.namespace
        if isinstance(changed, DataPipeline):
            return self._of_kinds((Kind.TRAIN_JOB, Kind.TUNE_JOB), namespace)
        endpoint = None if isinstance(changed, InferenceEndpoint) else offers_to(changed)
        keys = [key for key in (*self._starters, endpoint) if key and key.namespace == namespace]
        found = (self._resource(key) for key in keys)
        return [watcher for watcher in found if watcher]


def _as_left(entry: Entry, raw: Raw) -> Raw | None:
    """A child as the plan may rely on it: one that somebody else changed is not what was applied, or not there."""
    if not entry.touched:
        return raw
    annotations = raw["metadata"].get("annotations", {})
    if labels.HASH not in annotations:
        return None
    kept = {name: value for name, value in annotations.items() if name != labels.HASH}
    return {**raw, "metadata": {**raw["metadata"], "annotations": kept}}


def _is_news(entry: Entry, before: Entry) -> bool:
    """Whether a plan may come out otherwise: of what happens to a pod it sees less than half, and a node only later."""
    if entry.pod is None or before.pod is None:
        return True
    return dataclasses.replace(entry.pod, bound=before.pod.bound) != before.pod


def _starts(entry: Entry, before: Entry) -> bool:
    """Whether a pod that waited runs now."""
    pods = before.pod, entry.pod
    return all(pods) and [pod.phase for pod in pods if pod] == [PodPhase.PENDING, PodPhase.RUNNING]


def _place(key: ObjectKey) -> Place:
    return str(key.kind), key.namespace, key.name
