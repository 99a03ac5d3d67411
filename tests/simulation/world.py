"""One seeded world: its clock, its store, what really happened, and the lives of its pods."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from headrace.api.run_spec import Routing, RunSpec
from tests.simulation.faults import CALM, Faults
from tests.simulation.store import Store
from tests.simulation.truth import Truth

EMPTY_TABLE = Routing()
START = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
"""Microseconds that the API does not keep, so that a status which relies on them never comes to rest."""


@dataclass
class Counts:
    """What a router counted of one version: requests, errors, and requests by latency."""

    requests: int = 0
    errors: int = 0
    by_milliseconds: dict[float, int] = field(default_factory=dict)


@dataclass
class Life:
    """What the kubelet knows of a pod and the API does not show."""

    starts_in: int
    """Ticks until it runs."""
    needs: tuple[tuple[str, str], ...] = ()
    """Kind and name of the children that it mounts; it waits for them."""
    leaves_in: int = 1
    """Ticks that a deletion takes."""
    spec: RunSpec | None = None
    """What a head was told, once it runs."""
    version: str = ""
    """The model version that a server serves."""
    ends: str = "Complete"
    """How a head's run is going to end."""
    ends_after: int = 3
    step: int = 0
    hangs: int = 0
    """Of a head's workers."""
    slow: str = ""
    """The worker that a head finds slow."""
    ready_in: int = 0
    routing: Routing = EMPTY_TABLE
    counts: dict[str, Counts] = field(default_factory=dict)


@dataclass
class World:
    """Everything that one seed decides."""

    seed: int
    rng: random.Random
    faults: Faults = CALM
    now: datetime = START
    store: Store = field(default_factory=Store)
    truth: Truth = field(default_factory=Truth)
    lives: dict[str, Life] = field(default_factory=dict)
    requests_per_second: int = 0
    still: bool = False
    """Whether nobody sends requests any more."""
    pods_made: int = 0
    trace: list[str] = field(default_factory=list)

    @property
    def calm(self) -> bool:
        """Whether the faults are over."""
        return self.faults is CALM

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens now; draws nothing for what never happens."""
        return probability > 0.0 and self.rng.random() < probability

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)

    def note(self, line: str) -> None:
        """Adds a line to the trace."""
        self.trace.append(line)
