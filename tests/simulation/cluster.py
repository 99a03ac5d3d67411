"""The port on a simulated world: stale reads, writes that fail or kill the operator, and checkers that watch every write."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from headrace.api.meta import ObjectKey
from headrace.api.run_spec import Routing
from headrace.cluster import ChildrenRefused, Conflict
from headrace.plan import dependents, labels
from headrace.plan.conditions import QUOTA
from headrace.plan.manifests import is_applied
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
    Status,
)
from tests.simulation import checkers, kubelet, serving
from tests.simulation.store import owner_uid
from tests.simulation.world import World


class OperatorCrash(Exception):
    """The operator's process ended; another one starts with nothing but the cluster."""


class Refused(Exception):
    """The API server, or a pod, said no."""


class SimulatedCluster:
    """A `headrace.cluster.Cluster` without a cluster."""

    def __init__(self, world: World) -> None:
        """Works on the world; `writes` counts what changed it, `acts` the actions that were asked for."""
        self._world = world
        self.writes = 0
        self.acts = 0
        self._refusals: dict[str, tuple[Refusal, ...]] = {}

    async def observe(self, key: ObjectKey) -> Observed | None:
        """The object and what is around it, each part as of a moment of its own if reads are stale."""
        world = self._world
        resource = world.store.past(self._lag()).objects.get(key)
        if resource is None:
            return None
        uid = resource.metadata.uid
        pods = world.store.past(self._lag()).pods
        children = world.store.past(self._lag()).children
        others = world.store.past(self._lag()).objects
        return Observed(
            object=resource,
            pods=tuple(self._seen(pod) for _, pod in sorted(pods.items()) if pod.labels.get(labels.UID) == uid),
            children=tuple(
                child for _, child in sorted(children.items()) if child["metadata"]["labels"].get(labels.UID) == uid
            ),
            related=dependents.related(resource, [others[name] for name in sorted(others, key=str)]),
            refusals=self._refusals.get(uid, ()),
        )

    def _lag(self) -> int:
        world = self._world
        return world.rng.randint(1, world.faults.lag) if world.chance(world.faults.stale) else 0

    def _seen(self, pod: Pod) -> Pod:
        return replace(pod, live=None) if pod.live and self._world.chance(self._world.faults.silent) else pod

    async def save_status(self, observed: Observed, status: Status) -> None:
        """Stores the status as JSON would, if the object is still the one that was observed."""
        world, key = self._world, observed.object.key
        current = world.store.objects.get(key)
        if current is None or current.metadata.uid != observed.object.metadata.uid:
            raise Conflict(f"{key} is gone")
        if current.metadata.resource_version != observed.object.metadata.resource_version:
            raise Conflict(f"{key} has changed since it was observed")
        text = status.model_dump_json(by_alias=True, exclude_none=True)
        stored = type(status).model_validate_json(text)
        if stored == current.status:
            return
        self._perhaps_unavailable()
        world.note(
            f"{_shown_time(world)} {key} status {hashlib.sha256(text.encode()).hexdigest()[:8]} {checkers.in_brief(stored)}"
        )
        saved = world.store.replace_status(current, stored)
        checkers.remember(world, saved)
        checkers.check_saved(world, observed, current, saved, len(text))
        self._written()

    async def apply_together(self, observed: Observed, actions: Sequence[Action]) -> None:
        """Carries out actions, in an order that the seed chooses."""
        refusals: list[Refusal] = []
        for action in self._world.rng.sample(actions, len(actions)):
            try:
                await self.apply(observed, action)
            except ChildrenRefused as refused:
                refusals += refused.refusals
        if refusals:
            raise ChildrenRefused(*refusals)

    def forget(self) -> None:
        """Another process begins, with nothing in memory."""
        self._refusals.clear()

    def note_refusals(self, observed: Observed, refusals: tuple[Refusal, ...]) -> None:
        """Keeps them until the next plan was acted on."""
        self._refusals[observed.object.metadata.uid] = refusals

    async def apply(self, observed: Observed, action: Action) -> None:
        """Carries out an action on the world as it is now."""
        self.acts += 1
        self._perhaps_unavailable()
        self._world.note(f"{_shown_time(self._world)} {observed.object.key} {describe(action)}")
        before = self._world.store.changes
        match action:
            case Create() | Apply() if self._world.chance(self._world.faults.refused):
                self._refuse(action.manifest)
            case Create():
                self._create(action)
            case Apply():
                self._apply(action.manifest)
            case Delete():
                self._delete(action)
            case DeleteSelf():
                self._delete_self(observed, action)
            case Push():
                self._push(action)
        if self._world.store.changes != before:
            self._written()

    async def watch(self) -> AsyncIterator[ObjectKey]:
        """Every key once; the simulation delivers later events itself."""
        for key in sorted(self._world.store.objects, key=str):
            yield key

    def _perhaps_unavailable(self) -> None:
        if self._world.chance(self._world.faults.unavailable):
            raise Refused("the API server is unavailable")

    def _written(self) -> None:
        self.writes += 1
        checkers.check_world(self._world)
        if self._world.chance(self._world.faults.crash):
            raise OperatorCrash

    def _refuse(self, manifest: Raw) -> None:
        """A quota, or an admission policy, that somebody lifts later."""
        reason = self._world.rng.choice((QUOTA, "Forbidden"))
        raise ChildrenRefused(Refusal(manifest["kind"], manifest["metadata"]["name"], reason, "the namespace is full"))

    def _create(self, action: Create) -> None:
        store, manifest = self._world.store, action.manifest
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        existing: tuple[str, dict[str, str], bool] | None = None
        if kind == "Pod" and name in store.pods:
            pod = store.pods[name]
            existing = store.controllers[name], dict(pod.labels), pod.deleting
        elif (kind, name) in store.children:
            child = store.children[kind, name]
            existing = owner_uid(child), child["metadata"]["labels"], False
        if existing is None:
            if kind == "Pod":
                kubelet.add_pod(self._world, manifest, owner_uid(manifest))
            else:
                store.put_child(self._stored(manifest, None))
            store.commit()
            return
        owner, own_labels, deleting = existing
        same_attempt = own_labels.get(labels.ATTEMPT) == manifest["metadata"]["labels"].get(labels.ATTEMPT)
        if owner != owner_uid(manifest) or not same_attempt or deleting:
            raise Refused(f"{kind} {name} already exists and is not the one wanted")

    def _apply(self, manifest: Raw) -> None:
        store = self._world.store
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        existing = store.children.get((kind, name))
        if existing and owner_uid(existing) != owner_uid(manifest):
            raise Refused(f"{kind} {name} still belongs to another owner: only one reference may be the controller's")
        if existing and is_applied(manifest, existing):
            return
        store.put_child(self._stored(manifest, existing))
        store.commit()

    def _stored(self, manifest: Raw, existing: Raw | None) -> Raw:
        before: Raw = existing["metadata"] if existing else {"uid": self._world.store.new_uid(), "generation": 0}
        extra = {"templateHash": serving.template_hash(manifest)} if manifest["kind"] == "Deployment" else {}
        metadata = {**manifest["metadata"], "uid": before["uid"], "generation": before["generation"] + 1, **extra}
        status = {"status": existing["status"]} if existing and "status" in existing else {}
        # Through JSON: the API server keeps no reference into the operator's memory.
        return dict(json.loads(json.dumps({**manifest, "metadata": metadata, **status})))

    def _delete(self, action: Delete) -> None:
        store = self._world.store
        if action.kind == "Pod":
            pod = store.pods.get(action.name)
            if pod is None or pod.uid != action.uid or pod.deleting:
                return
            kubelet.delete_pod(self._world, action.name, action.grace_seconds)
        else:
            child = store.children.get((action.kind, action.name))
            if child is None or child["metadata"]["uid"] != action.uid:
                return
            store.remove_child(action.kind, action.name)
        store.commit()

    def _delete_self(self, observed: Observed, action: DeleteSelf) -> None:
        current = self._world.store.objects.get(observed.object.key)
        if current is not None and current.metadata.uid == action.uid:
            self._world.store.remove_object(observed.object.key)

    def _push(self, action: Push) -> None:
        world = self._world
        pod = world.store.pods.get(action.pod)
        if pod is None:
            return
        if pod.phase != PodPhase.RUNNING or action.path != "/backends":
            raise Refused(f"the pod {action.pod} does not answer PUT {action.path}")
        table = Routing.model_validate(action.body)
        checkers.check_routing(table)
        life = world.lives[pod.uid]
        if life.routing != table:
            life.routing = table
            if pod.live:
                world.store.put_pod(
                    replace(pod, live=pod.live.model_copy(update={"routing": table, "time": world.now}))
                )
            world.store.commit()


def _shown_time(world: World) -> str:
    return world.now.isoformat(timespec="seconds")[5:-6]


def describe(action: Action) -> str:
    """An action in a few words."""
    match action:
        case Create() | Apply():
            return f"{type(action).__name__} {action.manifest['kind']} {action.manifest['metadata']['name']}"
        case Delete():
            return f"Delete {action.kind} {action.name}"
        case DeleteSelf():
            return "DeleteSelf"
        case Push():
            shares = ", ".join(
                f"{backend['version']} {backend['weight']} on {len(backend.get('endpoints', ()))}"
                for backend in action.body["backends"]
            )
            return f"Push {action.pod} {shares}"
