"""What passes between a search and its trials, as values that travel between processes.

No torch and no Ray here: both sides read them.
"""

from dataclasses import dataclass
from typing import Protocol

from headrace.api.train_job import TrainJobSpec
from headrace_workers.storage import Folder


@dataclass(frozen=True)
class TrialWork:
    """One trial to train; a trial that ran before goes on from its checkpoints in the same folder.

    Early stopping decides by epochs and can only see what was measured: with `every_epoch` each is.
    """

    number: int
    spec: TrainJobSpec
    every_epoch: bool = False


@dataclass(frozen=True)
class TrialMeasured:
    """A trial was evaluated after so many whole epochs."""

    number: int
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrialFinished:
    """A trial ran to its end; its last checkpoint holds the weights that were measured."""

    number: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class TrialFailed:
    """A trial's own code, values or data do not work."""

    number: int
    error: str


@dataclass(frozen=True)
class TrialStopped:
    """A trial was asked to stop and has saved its state."""

    number: int


@dataclass(frozen=True)
class TrialLost:
    """The worker under a trial is gone."""

    number: int


TrialEvent = TrialMeasured | TrialFinished | TrialFailed | TrialStopped | TrialLost


class Runner(Protocol):
    """What runs trials: Ray's actors, or a test's own."""

    def room(self) -> int:
        """How many more trials could start now."""

    def start(self, work: TrialWork) -> None:
        """Starts a trial; what becomes of it comes through `events`. Call it only while there is room."""

    def stop(self, number: int) -> None:
        """Asks a trial to save its state and stop; one that has ended is left alone."""

    def events(self, timeout_seconds: float) -> list[TrialEvent]:
        """What trials said since the last call; waits for the first of it no longer than the timeout."""


def trial_folder(storage: Folder, number: int) -> Folder:
    """The folder of one trial's checkpoints in the run's storage."""
    return storage.sub(f"trials/{number}")
