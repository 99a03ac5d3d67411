"""The machine as a node: starts the processes of pods, notes how they end, ends those that must go.

Level-triggered: every turn looks at the stored pods and at the processes that there are. A turn may be cut off anywhere
and the next one, perhaps of another program, goes on from what it finds.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import psutil

from headrace.local import endings, logs, ports, processes
from headrace.local.claims import claim_of, invalid_pod
from headrace.local.launch import TERMINATION_LOG, Launch, World, launch
from headrace.local.machine import Machine, requested
from headrace.local.pods import LOOPBACK, LocalPod, PodStatus, changed
from headrace.local.processes import Life
from headrace.local.readiness import http_probe
from headrace.local.refusals import CannotStart, NotYet
from headrace.local.scheduler import WAITING, Claim, place
from headrace.local.services import resolve
from headrace.local.store import Store
from headrace.plan import labels
from headrace.plan.values import PodPhase

logger = logging.getLogger(__name__)

APPEAR_SECONDS = 30.0
"""How long the shim of an earlier program may take to show itself."""


class Node:
    """Everything that is done to processes."""

    def __init__(
        self,
        state_dir: Path,
        store: Store,
        machine: Machine,
        gpu_resource: str,
        clock: Callable[[], datetime],
        environ: Mapping[str, str],
    ) -> None:
        """Touches no process before `adopt` and `turn`."""
        self._state_dir = state_dir
        self._store = store
        self._machine = machine
        self._gpu_resource = gpu_resource
        self._clock = clock
        self._environ = environ
        self.placing = True
        """Whether pods are started; set to False once, before all are ended."""
        self._shims: dict[int, str] = {}
        """The UIDs of the pods whose shims we started, by the shims' process numbers."""
        self._asked: set[tuple[str, int]] = set()

    async def adopt(self) -> None:
        """Makes the pods of an earlier program ours: what runs goes on, what belongs to no stored pod is ended."""
        marked = await self._find_marked()
        for pod in self._pods():
            if pod.terminated:
                continue
            begun = await self._has_begun(pod, marked.get(pod.uid, []))
            if begun and not pod.status.running:
                self._save(
                    pod,
                    changed(
                        pod.status,
                        running=True,
                        phase=PodPhase.RUNNING,
                        started_at=self._clock(),
                        reason="",
                        message="",
                    ),
                )
        alive = {pod.uid for pod in self._pods() if pod.status.running}
        strays = [process for uid, found in sorted(marked.items()) if uid not in alive for process in found]
        await asyncio.to_thread(processes.kill, strays)

    async def _has_begun(self, pod: LocalPod, found: Sequence[psutil.Process]) -> bool:
        """Whether an earlier program began this run of the pod, perhaps without having written that down."""
        until = time.monotonic() + APPEAR_SECONDS
        while processes.look(self._folder(pod), pod.status.restarts) == Life.ABSENT:
            # The lock of a shim that has just been started may be yet to come.
            if time.monotonic() >= until or not any(process.is_running() for process in found):
                return False
            await asyncio.sleep(0.05)
        return True

    async def turn(self) -> None:
        """One look at everything."""
        running = processes.reap(self._shims)
        self._shims = {shim: uid for shim, uid in self._shims.items() if shim in running}
        ended = [pod for pod in self._pods() if pod.status.running and self._life(pod) in (Life.ENDED, Life.LOST)]
        overdue = self._ask_to_go()
        if ended or overdue:
            await self._end_processes(ended, overdue)
        for pod in ended:
            self._note_end(pod)
        for pod in self._pods():
            if pod.deleting and not pod.status.running:
                self._forget(pod)
        if self.placing:
            self._start_again()
            self._place()

    async def kill_all(self) -> None:
        """Ends the processes of every pod that is to go, whatever grace it has left."""
        await self._end_processes((), [pod for pod in self._pods() if pod.deleting and pod.status.running])

    def trim_logs(self) -> None:
        """Keeps the logs of running pods within bounds."""
        for pod in self._pods():
            if pod.status.running:
                logs.trim(self._folder(pod))

    def _pods(self) -> list[LocalPod]:
        return [LocalPod.of(raw) for raw in self._store.list("Pod")]

    def _folder(self, pod: LocalPod) -> Path:
        return self._state_dir / pod.status.folder

    def _save(self, pod: LocalPod, status: PodStatus) -> None:
        self._store.save_status(pod.key, status.wire())

    def _life(self, pod: LocalPod) -> Life:
        """Where the pod's current run is; one whose shim has just been started counts as alive."""
        starting = pod.uid in self._shims.values()
        life = processes.look(self._folder(pod), pod.status.restarts)
        if life == Life.ABSENT and pod.status.running:
            return Life.ALIVE if starting else Life.LOST
        return life

    def _ask_to_go(self) -> list[LocalPod]:
        """Passes SIGTERM to pods that must go, once; returns those whose time is over."""
        overdue = []
        for pod in self._pods():
            if pod.deadline is None or not pod.status.running or self._life(pod) != Life.ALIVE:
                continue
            if self._clock() >= pod.deadline:
                overdue.append(pod)
            elif (asked := (pod.uid, pod.status.restarts)) not in self._asked and processes.ask_to_end(
                self._folder(pod), pod.status.restarts, pod.uid
            ):
                self._asked.add(asked)
        return overdue

    async def _end_processes(self, ended: Iterable[LocalPod], overdue: Iterable[LocalPod]) -> None:
        """Kills whatever is left of these pods. A shim clears up by itself, but it may have been killed."""
        uids = sorted({pod.uid for pod in (*ended, *overdue)})
        marked = await self._find_marked()
        await asyncio.to_thread(processes.kill, [process for uid in uids for process in marked.get(uid, ())])

    async def _find_marked(self) -> dict[str, list[psutil.Process]]:
        sessions = {
            session: pod.uid
            for pod in self._pods()
            if (session := processes.session_of(self._folder(pod), pod.status.restarts))
        }
        return await asyncio.to_thread(processes.find_marked, self._state_dir, sessions)

    def _note_end(self, before: LocalPod) -> None:
        raw = self._store.get(*before.key)
        if raw is None:
            return
        pod, folder = LocalPod.of(raw), self._folder(before)
        if not pod.status.running or pod.uid != before.uid:
            return
        number = pod.status.restarts
        life = processes.look(folder, number)
        ending = processes.read_ending(folder, number) if life == Life.ENDED else None
        last_line, message = logs.last_line(folder), logs.read_termination_message(folder)
        if pod.restarts_after_exit:
            self._save(pod, endings.to_start_again(pod.status, ending, last_line, message, self._clock()))
        else:
            self._save(pod, endings.ended(pod.status, ending, last_line, message))

    def _forget(self, pod: LocalPod) -> None:
        folder = self._folder(pod)
        logs.drop_volumes(folder)
        self._store.remove(pod.key)
        self._asked = {asked for asked in self._asked if asked[0] != pod.uid}

    def _start_again(self) -> None:
        for pod in self._pods():
            waits = pod.status.phase == PodPhase.RUNNING and not pod.status.running and not pod.deleting
            if waits and pod.status.retry_at is not None and pod.status.retry_at <= self._clock():
                self._start(pod)

    def _place(self) -> None:
        pods = self._pods()
        holding = self._claims(pod for pod in pods if pod.status.phase == PodPhase.RUNNING)
        waiting = {pod.uid: pod for pod in pods if pod.status.phase == PodPhase.PENDING and not pod.deleting}
        placement = place(self._machine, holding, self._claims(waiting.values()))
        for uid in placement.start:
            self._start(waiting[uid])
        for uid, verdict in sorted(placement.verdicts.items()):
            self._save(waiting[uid], changed(waiting[uid].status, reason=verdict.reason, message=verdict.message))

    def _claims(self, pods: Iterable[LocalPod]) -> list[Claim]:
        """What the pods claim; one whose claim makes no sense has failed."""
        claims = []
        for pod in pods:
            try:
                claims.append(claim_of(pod, self._gpu_resource))
            except CannotStart as refusal:
                self._refuse(pod, refusal)
        return claims

    def _start(self, pod: LocalPod) -> None:
        """Starts the pod's command, or writes into its status why not."""
        folder = self._folder(pod)
        gpus = pod.status.gpus or self._free_gpus()[: requested(pod.container, self._gpu_resource).gpus]
        pod = LocalPod(pod.raw, changed(pod.status, gpus=gpus))
        try:
            command = _launched(pod, folder, self._world(pod))
            _require_ports(pod)
        except NotYet as reason:
            self._save(pod, changed(pod.status, gpus=(), reason=WAITING, message=str(reason)))
            return
        except CannotStart as refusal:
            self._refuse(pod, refusal)
            return
        for name in command.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in command.files.items():
            _write_private(folder / name, data)
        (folder / TERMINATION_LOG).unlink(missing_ok=True)
        self._shims[processes.start(folder, pod.status.restarts, command.argv, command.environment)] = pod.uid
        ready = http_probe(pod) is None
        self._save(pod, changed(
            pod.status, phase=PodPhase.RUNNING, running=True, ready=ready, started_at=self._clock(), retry_at=None, reason="", message="", exit_code=None, termination_message="",
        ))  # fmt: skip

    def _refuse(self, pod: LocalPod, refusal: CannotStart) -> None:
        logger.warning("pod %s %s", pod.name, refusal.message)
        chosen = refusal.reason == endings.PORT_IN_USE and labels.LOCAL_PORT not in pod.annotations
        if pod.restarts_after_exit and chosen:
            # Its Deployment makes another one, with another port.
            self._store.mark_deleting(pod.key, 0)
            return
        if pod.restarts_after_exit:
            self._save(pod, endings.refused(pod.status, refusal, self._clock()))
            return
        # A port that we chose ourselves and that another program took meanwhile is no fault of the run's.
        self._save(
            pod,
            changed(
                pod.status, phase=PodPhase.FAILED, reason=refusal.reason, message=refusal.message, disrupted=chosen
            ),
        )

    def _free_gpus(self) -> tuple[str, ...]:
        used = {gpu for pod in self._pods() if not pod.terminated for gpu in pod.status.gpus}
        return tuple(gpu for gpu in self._machine.gpus if gpu not in used)

    def _world(self, pod: LocalPod) -> World:
        namespace = pod.key[1]
        return World(
            state_dir=self._state_dir, python=sys.executable, environ=self._environ, has_gpus=bool(self._machine.gpus),
            find=lambda kind, name: self._store.get(kind, namespace, name),
            resolve=lambda value: resolve(value, namespace, self._store.list("Service"), self._pods()),
        )  # fmt: skip


def _launched(pod: LocalPod, folder: Path, world: World) -> Launch:
    try:
        return launch(pod, folder, world)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # podTemplate is laid over the manifest as it was written: a fault in it must stop this pod and no other.
        raise invalid_pod(error) from error


def _require_ports(pod: LocalPod) -> None:
    try:
        ports.require_free(pod.status.ports)
    except CannotStart as refusal:
        if labels.LOCAL_PORT in pod.annotations:
            raise
        raise CannotStart(
            refusal.reason,
            f"found a port of {LOOPBACK} taken that it had chosen; another one is chosen for the next pod",
        ) from refusal


def _write_private(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
