"""Which faults a seeded world has, and how often.

Every seed draws its own mix and leaves most faults out (swarm testing, Groce 2012): a world in which everything always
fails hides the orders that need one fault and calm.
"""

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Faults:
    """Chances between 0 and 1, and bounds. The default is a calm world."""

    crash: float = 0.0
    """The operator dies right after a write."""
    unavailable: float = 0.0
    """A write fails before it had an effect."""
    refused: float = 0.0
    """A child is not taken."""
    stale: float = 0.0
    """A part of what is observed is old."""
    lag: int = 0
    """How many changes ago a stale read may be."""
    silent: float = 0.0
    """A live report cannot be read."""
    event_lost: float = 0.0
    event_late: float = 0.0
    event_doubled: float = 0.0
    clock_jump: float = 0.0
    pod_fails: float = 0.0
    pod_evicted: float = 0.0
    pod_lost: float = 0.0
    """A pod vanishes without a trace."""
    unschedulable: float = 0.0
    sticky: float = 0.0
    """A deleted pod stays for long."""
    slow_collection: float = 0.0
    """Garbage collection skips a round."""
    head_fails: float = 0.0
    head_hopeless: float = 0.0
    """The head fails with a report that says another attempt is of no use."""
    head_dumb: float = 0.0
    """The head dies without a report."""
    head_hangs: float = 0.0
    worker_hangs: float = 0.0
    """A head ends a worker's process that hangs, and starts another on the same pod."""
    worker_slow: float = 0.0
    """A head finds a worker slow."""
    server_crashes: float = 0.0
    router_restarts: float = 0.0
    user: float = 0.0
    """A user does something."""


CALM = Faults()

WORST = Faults(
    crash=0.2, unavailable=0.1, refused=0.3, stale=0.6, lag=3, silent=0.3, event_lost=0.3, event_late=0.4, event_doubled=0.3, clock_jump=0.05,
    pod_fails=0.2, pod_evicted=0.2, pod_lost=0.2, unschedulable=0.4, sticky=0.4, slow_collection=0.7,
    head_fails=0.6, head_hopeless=0.15, head_dumb=0.5, head_hangs=0.4, worker_hangs=0.3, worker_slow=0.5, server_crashes=0.2, router_restarts=0.2, user=0.4,
)  # fmt: skip

PRESENT = 0.45
"""The chance that a seed has a given fault at all."""


def drawn_faults(rng: random.Random) -> Faults:
    """A seed's mix: each fault is absent, or somewhere below its worst."""
    chosen: dict[str, float] = {}
    for field in fields(Faults):
        worst = getattr(WORST, field.name)
        present = rng.random() < PRESENT
        strength = rng.random()
        if field.name == "lag":
            chosen["lag"] = rng.randint(1, worst)
        elif present:
            chosen[field.name] = worst * strength
    return Faults(**chosen)  # type: ignore[arg-type]
