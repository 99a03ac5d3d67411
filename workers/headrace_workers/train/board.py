"""The board between the ranks and the head: rank 0 posts what happens, the head reads it and may ask for a stop.

A Ray actor on the head's node. It only holds notes; neither side ever waits for the other.
"""

from dataclasses import dataclass
from typing import Any

from headrace.api.run_report import CurvePoint, RolledBack
from headrace_workers.train.progress import FitResult, Snapshot

BOARD = "headrace-train-board"


@dataclass(frozen=True)
class GroupStarted:
    """A group of workers was formed and starts, or resumes from a step; with the roll-backs that the run has had."""

    world_size: int
    resumed_from: int | None
    roll_backs: tuple[RolledBack, ...] = ()


@dataclass(frozen=True)
class GroupChanged:
    """The group became another without a restart; with the last point of the curve, which its last leader may not have told."""

    world_size: int
    step: int
    point: CurvePoint | None
    lost_steps: int = 0
    """Local steps that lost ranks had not shared yet."""


@dataclass(frozen=True)
class Ready:
    """A rank is ready to train, or still waits for the others."""

    pod: str


@dataclass(frozen=True)
class Trains:
    """A rank trains, as one that began or that was let in."""

    pod: str


@dataclass(frozen=True)
class RankFault:
    """A rank ended with a RunFault: another attempt of the group would end the same way unless `retryable`."""

    rank: int
    reason: str
    message: str
    retryable: bool


@dataclass(frozen=True)
class RankError:
    """A rank failed with something that a new group may survive, such as a lost peer."""

    rank: int
    text: str


@dataclass(frozen=True)
class Saved:
    """The ranks stopped on request, with a checkpoint."""


Note = GroupStarted | GroupChanged | Ready | Trains | Snapshot | RankFault | RankError | Saved | FitResult


class Board:
    """The actor. Notes are kept until the head takes them; it does so several times a second."""

    def __init__(self) -> None:
        """Starts empty."""
        self._notes: list[Note] = []
        self._stop = False

    def post(self, note: Note) -> bool:
        """Adds a note and answers whether the ranks should stop."""
        self._notes.append(note)
        return self._stop

    def stop_wanted(self) -> bool:
        """Whether the ranks should stop."""
        return self._stop

    def ask_to_stop(self) -> None:
        """From now on the ranks should save and stop."""
        self._stop = True

    def begin(self) -> None:
        """The next group is asked for nothing yet."""
        self._stop = False

    def take(self) -> list[Note]:
        """The notes since the last call."""
        taken, self._notes = self._notes, []
        return taken


def make_board() -> Any:
    """The board's handle, on this very node: it must not go with a worker."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Board).options(name=BOARD, num_cpus=0, scheduling_strategy=here).remote()
