"""One seed, from start to rest: the production loop in a hostile world, then in a calm one, with checkers throughout.

Nothing here sleeps or opens anything: coroutines are driven by hand, and time is a number.
"""

import copy
import hashlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from headrace.api.meta import ObjectKey
from headrace.cluster import Cluster, Conflict
from headrace.plan.plan import plan
from headrace.queue import pause_seconds
from headrace.reconcile import reconcile
from tests.simulation import checkers, kubelet, scenarios, users
from tests.simulation.checkers import Violation, require
from tests.simulation.cluster import OperatorCrash, Refused, SimulatedCluster
from tests.simulation.faults import CALM, drawn_faults
from tests.simulation.world import World

Loop = Callable[[Cluster, ObjectKey, datetime], Awaitable[float | None]]

HOSTILE_ROUNDS = (10, 30)
CALM_ROUNDS = 500
PASSES_A_ROUND = 60
"""Passes without time going by after which the operator is chasing its own tail."""
RESYNC_ROUNDS = 5
"""Lost events are made up for this often, as when a watch is opened anew."""
PURITY_CHECKED = 0.01
STILL_SECONDS = (1.0, 20_000.0)
TRACE_SHOWN = 60


class SimulationFailure(AssertionError):
    """A seed under which a law was broken."""

    def __init__(self, seed: int, fault: BaseException, trace: list[str]) -> None:
        """Says how to see it again."""
        self.seed = seed
        self.fault = fault
        shown = "\n".join(trace[-TRACE_SHOWN:])
        super().__init__(
            f"seed {seed}: {type(fault).__name__}: {fault}\nreplay it alone: hack/simulate --seed {seed}\n{shown}"
        )


@dataclass(frozen=True)
class Outcome:
    """What a seed came to."""

    seed: int
    trace: tuple[str, ...]
    passes: int
    writes: int
    crashes: int
    conflicts: int

    @property
    def digest(self) -> str:
        """Tells one course of events from another."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def drive(awaitable: Awaitable[Any]) -> Any:
    """Runs a coroutine that waits for nothing."""
    assert isinstance(awaitable, Coroutine)
    try:
        awaitable.send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError("the loop waits for something that the simulated world does not have")


class Simulation:
    """The operator's process and the delivery of events, around one world."""

    def __init__(self, seed: int, loop: Loop) -> None:
        """Draws the world; nothing happens before `run`."""
        rng = random.Random(seed)
        self.world = World(seed, rng, drawn_faults(rng))
        self.cluster = SimulatedCluster(self.world)
        self.passes = self.crashes = self.conflicts = 0
        self._loop = loop
        self._due: dict[ObjectKey, datetime] = {}
        self._failures: dict[ObjectKey, int] = {}
        scenarios.populate(self.world)

    def run(self) -> None:
        """The whole course: hostile, calm, still."""
        self._be_hostile()
        self._calm_down()
        self._stay_still()

    def _be_hostile(self) -> None:
        world = self.world
        for number in range(world.rng.randint(*HOSTILE_ROUNDS)):
            if number % RESYNC_ROUNDS == 0:
                self._resync()
            seconds = world.rng.choice((0.3, 1.0, 3.0, 12.0))
            if world.chance(world.faults.clock_jump):
                seconds = world.rng.choice((100.0, 4000.0))
            world.advance(seconds)
            kubelet.tick(world, seconds)
            users.act(world)
            checkers.check_world(world)
            for _ in range(world.rng.randint(2, 8)):
                self._deliver()
                ready = self._ready()
                if not ready:
                    break
                self._pass(world.rng.choice(ready))

    def _calm_down(self) -> None:
        world = self.world
        world.faults = CALM
        world.note("the faults are over")
        users.free_everything(world)
        self._resync()
        busy = True
        for _ in range(CALM_ROUNDS):
            before = world.store.changes
            self._settle()
            seconds = self._pause(busy or world.store.changes != before)
            if seconds is None:
                checkers.check_rest(world)
                return
            world.advance(seconds)
            busy = kubelet.tick(world, seconds)
            world.still = not any(getattr(stored.status, "rollout", None) for stored in world.store.objects.values())
        unfinished = [
            f"{key}: {checkers.unrest(world, stored) or 'it is never still'}"
            for key, stored in sorted(world.store.objects.items(), key=str)
        ]
        raise Violation(f"no rest after {CALM_ROUNDS} calm rounds: {'; '.join(unfinished)}")

    def _pause(self, busy: bool) -> float | None:
        """The seconds until something happens: soon while the cluster is busy, at the next timer otherwise; None for never."""
        timer = (min(self._due.values()) - self.world.now).total_seconds() if self._due else None
        if busy:
            return 2.0 if timer is None else min(max(timer, 0.1), 2.0)
        return timer if timer is None else max(timer, 0.1)

    def _settle(self) -> None:
        for _ in range(PASSES_A_ROUND):
            self._deliver()
            ready = self._ready()
            if not ready:
                return
            for key in ready:
                self._pass(key)
        raise Violation(f"{PASSES_A_ROUND} passes at one moment and no end: {', '.join(map(str, self._ready()))}")

    def _stay_still(self) -> None:
        world = self.world
        for seconds in STILL_SECONDS:
            world.advance(seconds)
            kubelet.tick(world, seconds)
            before = self.cluster.writes, self.cluster.acts
            self._resync()
            for key in self._ready():
                self._pass(key)
            require(
                (self.cluster.writes, self.cluster.acts) == before,
                f"something was written {seconds} s after everything had come to rest",
            )

    def _resync(self) -> None:
        for key in self.world.store.objects:
            self._due[key] = self.world.now

    def _deliver(self) -> None:
        """Hands over events: some late, some never."""
        world = self.world
        for key in world.store.woken:
            if world.chance(world.faults.event_lost):
                continue
            late = world.rng.uniform(0.0, 20.0) if world.chance(world.faults.event_late) else 0.0
            when = world.now + timedelta(seconds=late)
            self._due[key] = min(self._due.get(key, when), when)
        world.store.woken.clear()

    def _ready(self) -> list[ObjectKey]:
        return sorted((key for key, when in self._due.items() if when <= self.world.now), key=str)

    def _pass(self, key: ObjectKey) -> None:
        world = self.world
        self.passes += 1
        del self._due[key]
        if world.chance(PURITY_CHECKED):
            self._check_purity(key)
        again: float | None
        try:
            again = drive(self._loop(self.cluster, key, world.now))
        except OperatorCrash:
            world.note("the operator crashes")
            self.crashes += 1
            self._due.clear()
            self._failures.clear()
            self.cluster.forget()
            self._resync()
            return
        except (Conflict, Refused) as refusal:
            world.note(f"pass over {key} dropped: {refusal}")
            self.conflicts += 1
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            again = pause_seconds(failures)
        else:
            self._failures.pop(key, None)
        if world.chance(world.faults.event_doubled):
            again = 0.0
        if again is not None:
            self._due[key] = world.now + timedelta(seconds=max(again, 0.0))

    def _check_purity(self, key: ObjectKey) -> None:
        """Equal arguments give equal plans, and stay as they were."""
        observed = drive(self.cluster.observe(key))
        if observed is None:
            return
        twin = copy.deepcopy(observed)
        first, second = plan(observed, self.world.now), plan(twin, self.world.now)
        require(first == second, f"{key}: two plans from equal values differ")
        require(observed == twin, f"{key}: the plan changed what it was given")


def simulate(seed: int, loop: Loop = reconcile) -> Outcome:
    """Runs one seed; raises SimulationFailure with the trace if a law was broken."""
    simulation = Simulation(seed, loop)
    try:
        simulation.run()
    except Exception as fault:
        raise SimulationFailure(seed, fault, simulation.world.trace) from fault
    trace = tuple(simulation.world.trace)
    return Outcome(seed, trace, simulation.passes, simulation.cluster.writes, simulation.crashes, simulation.conflicts)
