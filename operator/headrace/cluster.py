"""The port: what the loop needs of a world, whether that is Kubernetes, a laptop or the simulator.

Implementations may be stale, may fail and may be killed between any two calls; the contract tests hold all three to this.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from headrace.api.meta import ObjectKey
from headrace.plan.values import Action, Observed, Refusal, Status


class Conflict(Exception):
    """The object is no longer the one that was observed: the pass is dropped and the key looked at again."""


class Unavailable(Exception):
    """The world cannot do it now, through no fault of the plan: the pass ends and the key is looked at after a pause."""

    retry_after_seconds: float = 0.0
    """The pause that the world asks for, at least."""


class ChildrenRefused(Unavailable):
    """The world will not take these children as they are; what does not rest on them may go on."""

    def __init__(self, *refusals: Refusal) -> None:
        """Keeps who was refused, and why."""
        super().__init__("; ".join(f"{each.kind} {each.name} is refused: {each.message}" for each in refusals))
        self.refusals = refusals


class Cluster(Protocol):
    """A world in which the four kinds live."""

    async def observe(self, key: ObjectKey) -> Observed | None:
        """The object with its children, related objects and reports; None if there is no such object."""
        ...

    async def save_status(self, observed: Observed, status: Status) -> None:
        """Makes `status` the object's status; writes nothing when it is that already.

        Raises Conflict when the object has changed since it was observed, also when there is nothing to write:
        actions that follow rest on this.
        """
        ...

    async def apply(self, observed: Observed, action: Action) -> None:
        """Carries out one action. Doing what is done already is success; a vanished target is success.

        Raises ChildrenRefused for a child that the world will not take.
        """
        ...

    async def apply_together(self, observed: Observed, actions: Sequence[Action]) -> None:
        """Carries out actions that do not depend on each other, in any order; raises after all were tried."""
        ...

    def note_refusals(self, observed: Observed, refusals: tuple[Refusal, ...]) -> None:
        """Has what was refused of a plan be observed until the next plan was acted on."""
        ...

    def watch(self) -> AsyncIterator[ObjectKey]:
        """Keys that may have changed; every key once at the start. Anything may be doubled or late."""
        ...
