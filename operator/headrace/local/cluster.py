"""LocalCluster: the port on processes and a folder. It wires the parts; each part is a file of this package.

Nothing is true because it is in memory: whoever opens the folder next, after whatever end of this program, goes on from
the files and the processes that there are.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import aiohttp

from headrace.api.edits import refused_edits
from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cluster import ChildrenRefused, Conflict
from headrace.inbox import Inboxes
from headrace.local import children, deployments, lock, logs, ownership
from headrace.local.machine import Machine, this_machine
from headrace.local.node import Node
from headrace.local.pods import LocalPod
from headrace.local.readiness import LOOK_SECONDS, Readiness
from headrace.local.refusals import CannotStart, Refused
from headrace.local.reports import PULL_SECONDS, Reports
from headrace.local.shutdown import end_all
from headrace.local.store import Key, Store, clean, key_of, parse_stored, version_of
from headrace.plan.dependents import related, woken_by
from headrace.plan.values import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteSelf,
    Observed,
    Pod,
    Push,
    Raw,
    Refusal,
    Settings,
    Status,
)

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.1
TRIM_SECONDS = 10.0
AFTER_ERROR_SECONDS = 1.0
LEAVE_SECONDS = 10.0


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class LocalCluster:
    """A world of one machine. Made by `open`; everything runs in one event loop."""

    def __init__(
        self,
        state_dir: Path,
        settings: Settings,
        clock: Callable[[], datetime],
        machine: Machine,
        session: aiohttp.ClientSession,
    ) -> None:
        """Loads the objects; starts nothing."""
        self._state_dir = state_dir
        self._settings = settings
        self._store = Store(state_dir / "objects", clock)
        self._node = Node(state_dir, self._store, machine, settings.gpu_resource, clock, os.environ)
        self._reports = Reports(session, self._store, self._wake_owner)
        self._readiness = Readiness(session, self._store)
        self._inboxes = Inboxes()
        self._typed: dict[Key, tuple[str, HeadraceObject]] = {}
        self._refusals: dict[str, tuple[Refusal, ...]] = {}
        """What this machine could not take, by owner's UID."""
        self._changed = asyncio.Event()
        self._waiters: set[asyncio.Event] = set()
        self._store.listen(self._on_change)

    @classmethod
    def open(
        cls,
        state_dir: Path,
        settings: Settings,
        clock: Callable[[], datetime] = utc_now,
        *,
        command: str = "headrace run",
        machine: Machine | None = None,
    ) -> AbstractAsyncContextManager["LocalCluster"]:
        """Takes the folder, adopts the pods that run in it, and works until the context is left; pods go on running then.

        FolderLocked if another program has it, UnreadableState if it cannot be read.
        """
        return cls._opened(state_dir, settings, clock, command, machine or this_machine(os.environ))

    @classmethod
    @asynccontextmanager
    async def _opened(
        cls, state_dir: Path, settings: Settings, clock: Callable[[], datetime], command: str, machine: Machine
    ) -> AsyncIterator["LocalCluster"]:
        async with AsyncExitStack() as stack:
            state_dir = _prepare(state_dir)
            stack.enter_context(lock.hold(state_dir, command, clock()))
            clean(state_dir / "objects")
            session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
            cluster = cls(state_dir, settings, clock, machine, session)
            await cluster._node.adopt()
            stack.push_async_callback(_cancel, cluster._start_tasks())
            yield cluster
            await cluster._see_off()

    def _start_tasks(self) -> list[asyncio.Task[None]]:
        loops = (
            self._repeat("turn", self._turn, self._until_changed),
            self._repeat("reports", self._reports.pull, lambda: asyncio.sleep(PULL_SECONDS)),
            self._repeat("readiness", self._readiness.look, lambda: asyncio.sleep(LOOK_SECONDS)),
            self._repeat("logs", self._trim_logs, lambda: asyncio.sleep(TRIM_SECONDS)),
        )
        return [asyncio.create_task(loop) for loop in loops]

    async def _repeat(
        self, name: str, work: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            try:
                await work()
            except Exception:
                # A full disk must not end the supervision of what runs: say so and look again.
                logger.exception("local mode's %s failed; it is tried again in %s s", name, AFTER_ERROR_SECONDS)
                await asyncio.sleep(AFTER_ERROR_SECONDS)
            await pause()

    async def _until_changed(self) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _turn(self) -> None:
        self._changed.clear()
        self._collect_garbage()
        if self._node.placing:
            self._roll_deployments()
        await self._node.turn()

    async def _trim_logs(self) -> None:
        self._node.trim_logs()

    # What users do.

    async def put(self, wanted: HeadraceObject) -> Literal["created", "configured", "unchanged"]:
        """Makes the object what the manifest says; Refused if an edit may not be made."""
        manifest = {name: value for name, value in wanted.wire().items() if name != "status"}
        there = self.get(wanted.key)
        if there is None:
            self._store.create(manifest)
            return "created"
        running = any(not pod.terminated for pod in self.pods(wanted.key))
        if refusals := refused_edits(there, wanted, running=running):
            raise Refused(str(wanted.key), refusals)
        kept = ("labels", "annotations")
        if there.spec == wanted.spec and all(
            getattr(there.metadata, name) == getattr(wanted.metadata, name) for name in kept
        ):
            return "unchanged"
        self._store.replace(manifest)
        return "configured"

    async def delete(self, key: ObjectKey) -> None:
        """Deletes the object and waits until its children are gone; their pods get their grace."""
        raw = self._store.get(*_key(key))
        if raw is None:
            return
        self._store.remove(key_of(raw))
        await self._until(lambda: not ownership.children_of(raw["metadata"]["uid"], self._store))

    def objects(self) -> list[HeadraceObject]:
        """The custom resources, by kind and name."""
        return [self._parsed(raw) for kind in sorted(Kind) for raw in self._store.list(kind)]

    def get(self, key: ObjectKey) -> HeadraceObject | None:
        """The custom resource, or None."""
        raw = self._store.get(*_key(key))
        return self._parsed(raw) if raw else None

    def pods(self, key: ObjectKey) -> tuple[Pod, ...]:
        """The pods of a custom resource, by name."""
        raw = self._store.get(*_key(key))
        return tuple(pod.seen(self._reports.newest(pod.uid)) for pod in self._pods_of(raw)) if raw else ()

    async def shutdown(self, grace_seconds: float) -> None:
        """Ends all pods within the bound; the objects stay, and their runs resume when the folder is opened again."""
        await end_all(self._store, self._node, grace_seconds)

    async def _see_off(self) -> None:
        """Waits a while for pods that are to go: whoever is left would be asked and bounded by nobody until the next opening."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._until(lambda: not any(LocalPod.of(raw).deleting for raw in self._store.list("Pod")))

    async def _until(self, fact: Callable[[], bool]) -> None:
        """Waits until the stored objects make the fact true."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            while not fact():
                waiter.clear()
                await waiter.wait()
        finally:
            self._waiters.discard(waiter)

    # The port.

    async def observe(self, key: ObjectKey) -> Observed | None:
        """The object with its children, related objects and reports; None if there is no such object."""
        raw = self._store.get(*_key(key))
        if raw is None:
            return None
        resource = self._parsed(raw)
        others = tuple(
            _without_data(child)
            for child in ownership.children_of(raw["metadata"]["uid"], self._store)
            if child["kind"] != "Pod"
        )
        refusals = self._refusals.get(raw["metadata"]["uid"], ())
        return Observed(resource, self.pods(key), others, related(resource, self.objects()), self._settings, refusals)

    async def save_status(self, observed: Observed, status: Status) -> None:
        """Makes `status` the object's status; Conflict if the object has changed since it was observed."""
        metadata = observed.object.metadata
        key = _key(observed.object.key)
        raw = self._store.get(*key)
        if raw is None or raw["metadata"]["uid"] != metadata.uid or version_of(raw) != metadata.resource_version:
            raise Conflict(f"{observed.object.key} has changed since it was observed")
        if self._parsed(raw).status != status:
            self._store.save_status(key, status.wire(), metadata.resource_version)

    async def apply(self, observed: Observed, action: Action) -> None:
        """Carries out one action of a plan; ChildrenRefused if this machine cannot take the child."""
        try:
            await self._carry_out(observed, action)
        except CannotStart as cannot:
            if not isinstance(action, Create):
                raise
            metadata = action.manifest["metadata"]
            refusal = Refusal(action.manifest["kind"], metadata["name"], cannot.reason, f"it {cannot.message}")
            raise ChildrenRefused(refusal) from cannot

    async def _carry_out(self, observed: Observed, action: Action) -> None:
        namespace = observed.object.metadata.namespace
        match action:
            case Create():
                children.create(self._store, action.manifest, namespace, action.generate)
                self._prune_logs(observed.object.key)
            case Apply():
                children.apply(self._store, action.manifest, namespace)
            case Delete():
                children.delete(self._store, (action.kind, namespace, action.name), action.uid, action.grace_seconds)
            case DeleteSelf():
                children.delete(self._store, _key(observed.object.key), action.uid)
            case Push():
                raw = self._store.get("Pod", namespace, action.pod)
                if raw is not None and LocalPod.of(raw).status.running:
                    await self._reports.push(LocalPod.of(raw), action.path, action.body)

    async def apply_together(self, observed: Observed, actions: Sequence[Action]) -> None:
        """Carries out actions, one after the other: there is nothing to wait for."""
        refusals: list[Refusal] = []
        for action in actions:
            try:
                await self.apply(observed, action)
            except ChildrenRefused as refused:
                refusals += refused.refusals
        if refusals:
            raise ChildrenRefused(*refusals)

    def note_refusals(self, observed: Observed, refusals: tuple[Refusal, ...]) -> None:
        """Has what was refused be observed until the next plan was acted on."""
        self._refusals[observed.object.metadata.uid] = refusals

    def watch(self) -> AsyncIterator[ObjectKey]:
        """Keys that may have changed; every key once at the start."""
        return self._inboxes.watch(resource.key for resource in self.objects())

    # What happens behind both.

    def _on_change(self, before: Raw | None, after: Raw | None) -> None:
        for waiter in (self._changed, *self._waiters):
            waiter.set()
        raw = after or before
        assert raw is not None
        if raw["kind"] in set(Kind):
            resource = parse_stored(raw)
            if after is None:
                self._typed.pop(key_of(raw), None)
                self._refusals.pop(raw["metadata"]["uid"], None)
            self._inboxes.tell(woken_by(resource, self.objects()))
        else:
            self._wake_owner(raw)

    def _wake_owner(self, raw: Raw) -> None:
        if key := ownership.key_of_root(raw, self._store):
            self._inboxes.tell({key})

    def _parsed(self, raw: Raw) -> HeadraceObject:
        """The typed object; parsed once a version."""
        key, version = key_of(raw), version_of(raw)
        if (known := self._typed.get(key)) is None or known[0] != version:
            known = self._typed[key] = (version, parse_stored(raw))
        return known[1]

    def _pods_of(self, root: Raw) -> list[LocalPod]:
        found = []
        for raw in self._store.list("Pod"):
            owner = ownership.root_of(raw, self._store)
            if owner is not None and owner["metadata"]["uid"] == root["metadata"]["uid"]:
                found.append(LocalPod.of(raw))
        return found

    def _collect_garbage(self) -> None:
        going = [raw for raw in self._store.list("Deployment") if "deletionTimestamp" in raw["metadata"]]
        for raw in [*going, *ownership.orphans(self._store)]:
            children.delete(self._store, key_of(raw), raw["metadata"]["uid"])

    def _roll_deployments(self) -> None:
        for deployment in self._store.list("Deployment"):
            owned = [LocalPod.of(raw) for raw in ownership.children_of(deployment["metadata"]["uid"], self._store)]
            if "deletionTimestamp" in deployment["metadata"]:
                continue
            step = deployments.roll(deployment, owned)
            for pod in step.delete:
                children.delete(self._store, pod.key, pod.uid)
            for manifest in step.create:
                children.create(self._store, manifest, deployment["metadata"]["namespace"])
            self._store.save_status(key_of(deployment), step.status)

    def _prune_logs(self, key: ObjectKey) -> None:
        live = [self._state_dir / LocalPod.of(raw).status.folder for raw in self._store.list("Pod")]
        logs.prune(self._state_dir, key, live)


def _prepare(state_dir: Path) -> Path:
    """Makes the folder, readable by its owner only and out of Git's sight; returns its one true path."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state_dir / ".gitignore").write_text("*\n")
    return state_dir.resolve()


def _key(key: ObjectKey) -> Key:
    return str(key.kind), key.namespace, key.name


def _without_data(child: Raw) -> Raw:
    """The child without what a Secret hides."""
    return (
        {name: value for name, value in child.items() if name not in ("data", "stringData")}
        if child["kind"] == "Secret"
        else child
    )


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
