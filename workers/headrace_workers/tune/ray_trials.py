"""Trials on the run's workers: one actor a worker, kept for many trials, so that torch is imported and data loaded once.

The head hears from each actor through one call that is always open. It wakes the head the moment a trial says something,
and it breaks the moment the worker is gone, whether a trial runs there or not.
"""

import json
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headrace.api import environment
from headrace.api.artifacts import DatasetVersion
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.ray_cluster import WORKER_RESOURCE
from headrace_workers.storage import Folder
from headrace_workers.tune.trial_events import (
    TrialEvent,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialStopped,
    TrialWork,
    trial_folder,
)

if TYPE_CHECKING:
    from headrace_workers.train.dataset import LoadedDataset

logger = logging.getLogger(__name__)

OPEN_CALL_SECONDS = 5.0
NO_WORKER_SECONDS = 600.0
"""How long a search waits without a single worker."""
MAX_FAILED_SEATINGS = 3
"""How often an actor may die on a worker before it has answered once: then the worker cannot run trials at all."""


class TrialActor:
    """Lives on one worker and trains one trial at a time, in a thread of its own so that it can be asked to stop."""

    def __init__(self, version: DatasetVersion, storage: Folder) -> None:
        """Imports torch now, so that the first trial need not wait for it."""
        import torch

        from headrace_workers.tune.trial import run_trial

        # Ray allows a process without CPUs of Ray's own one thread; the pod has its own.
        torch.set_num_threads(max(1, int(os.environ.get(environment.CPUS, environment.CPUS_DEFAULT))))
        self._run_trial = run_trial
        self._version = version
        self._storage = storage
        self._events: queue.Queue[TrialEvent] = queue.Queue()
        self._stopped: set[int] = set()
        self._loaded: tuple[str, LoadedDataset] | None = None

    def start(self, work: TrialWork) -> None:
        """Starts a trial and returns at once."""
        self._stopped.discard(work.number)
        arguments = (work, self._load, trial_folder(self._storage, work.number), self._events.put)
        should_stop = {"should_stop": lambda: work.number in self._stopped}
        threading.Thread(target=self._run_trial, args=arguments, kwargs=should_stop, daemon=True).start()

    def stop(self, number: int) -> None:
        """Asks the trial to save its state and stop."""
        self._stopped.add(number)

    def events(self) -> list[TrialEvent]:
        """What the trial said since the last call; waits a few seconds for the first of it."""
        try:
            heard = [self._events.get(timeout=OPEN_CALL_SECONDS)]
        except queue.Empty:
            return []
        while not self._events.empty():
            heard.append(self._events.get())
        return heard

    def ready(self) -> list[TrialEvent]:
        """Answers once the actor can train."""
        return []

    def _load(self, spec: TrainJobSpec) -> "LoadedDataset":
        from headrace_workers.train.dataset import load_dataset

        next_token = spec.loss.next_token is not None
        wanted = json.dumps([spec.dataset.wire(), next_token], sort_keys=True)
        if self._loaded is None or self._loaded[0] != wanted:
            self._loaded = (wanted, load_dataset(self._version, spec.dataset, next_token=next_token))
        return self._loaded[1]


@dataclass
class Seat:
    """One worker's actor: which node it sits on, whether it has answered yet, which trial it runs."""

    node: str
    actor: Any
    answered: bool = False
    trial: int | None = None


class RayTrials:
    """Runs trials on the workers that are there, as they come and go."""

    def __init__(self, version: DatasetVersion, storage: Folder, most: int) -> None:
        """Uses at most `most` workers; Ray must be connected."""
        self._actor: Any = ray.remote(TrialActor)
        self._version = version
        self._storage = storage
        self._most = most
        self._open: dict[Any, Seat] = {}
        self._failed_seatings: dict[str, int] = {}
        self._last_seated_at = time.monotonic()

    def room(self) -> int:
        """How many actors are ready and without a trial."""
        return len(self._idle())

    def start(self, work: TrialWork) -> None:
        """Gives the trial to an idle actor."""
        seat = self._idle()[0]
        seat.trial = work.number
        seat.actor.start.remote(work)

    def stop(self, number: int) -> None:
        """Asks the trial's actor to stop it."""
        for seat in self._open.values():
            if seat.trial == number:
                seat.actor.stop.remote(number)

    def events(self, timeout_seconds: float) -> list[TrialEvent]:
        """What actors said, and which trials lost theirs; seats new workers on the way."""
        self._seat_new_workers()
        if not self._open:
            if time.monotonic() - self._last_seated_at > NO_WORKER_SECONDS:
                message = f"no worker has joined for {NO_WORKER_SECONDS:g} s; look at the workers' pods"
                raise RunFault("WorkersMissing", message, retryable=True)
            time.sleep(timeout_seconds)
            return []
        self._last_seated_at = time.monotonic()
        answered, _ = ray.wait(list(self._open), num_returns=1, timeout=timeout_seconds)
        return [event for reference in answered for event in self._answer(reference)]

    def _idle(self) -> list[Seat]:
        return sorted((s for s in self._open.values() if s.answered and s.trial is None), key=lambda seat: seat.node)

    def _seat_new_workers(self) -> None:
        seated = {seat.node for seat in self._open.values()}
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        alive = sorted(node["NodeID"] for node in nodes if node["Alive"] and node["Resources"].get(WORKER_RESOURCE))
        for node in [node for node in alive if node not in seated][: self._most - len(seated)]:
            if self._failed_seatings.get(node, 0) >= MAX_FAILED_SEATINGS:
                fact = f"the worker on Ray node {node[:8]} ended {MAX_FAILED_SEATINGS} times before its first trial"
                raise RunFault("WorkerUnusable", f"{fact}; its pod's log says why", retryable=True)
            here = NodeAffinitySchedulingStrategy(node, soft=False)
            # A call that waits for events, one that asks to stop and one that starts must all get through.
            options = {"num_cpus": 0, "resources": {WORKER_RESOURCE: 1}, "max_restarts": 0, "max_concurrency": 4}
            actor = self._actor.options(scheduling_strategy=here, **options).remote(self._version, self._storage)
            self._open[actor.ready.remote()] = Seat(node, actor)

    def _answer(self, reference: Any) -> list[TrialEvent]:
        seat = self._open.pop(reference)
        try:
            heard: list[TrialEvent] = ray.get(reference)
        except RayActorError as error:
            return self._vacate(seat, error)
        seat.answered = True
        if any(isinstance(event, TrialFinished | TrialFailed | TrialStopped) for event in heard):
            seat.trial = None
        self._open[seat.actor.events.remote()] = seat
        return heard

    def _vacate(self, seat: Seat, error: RayActorError) -> list[TrialEvent]:
        logger.warning("the worker on Ray node %s is gone: %s", seat.node[:8], str(error).partition("\n")[0])
        # One that only cannot be reached may still train: it must not write beside its successor, nor hold the worker.
        ray.kill(seat.actor)
        if not seat.answered:
            self._failed_seatings[seat.node] = self._failed_seatings.get(seat.node, 0) + 1
        return [] if seat.trial is None else [TrialLost(seat.trial)]
