"""What really happened in a world, whatever any status says: the checkers' own memory. The operator never reads it."""

import random
from dataclasses import dataclass, field

from headrace.api.artifacts import DatasetVersion
from headrace.api.base import Model
from headrace.api.run_report import RunReport


@dataclass(frozen=True)
class Quality:
    """What a model version is worth, which only traffic and validation show."""

    accuracy: float
    error_rate: float
    milliseconds: float
    starts: bool
    """Whether its servers ever become ready."""

    @property
    def hopeless(self) -> bool:
        """Whether no judgement of its answers may pass."""
        return self.error_rate > 0.3


def drawn_quality(seed: int, version: str) -> Quality:
    """A version's worth, the same for equal seeds and names."""
    rng = random.Random(f"{seed}/{version}")
    accuracy = round(rng.uniform(0.5, 0.99), 3)
    match rng.choices(["good", "erroneous", "slow", "broken"], weights=[6, 2, 1, 1])[0]:
        case "erroneous":
            return Quality(accuracy, 0.5, 8.0, starts=True)
        case "slow":
            return Quality(accuracy, 0.0, 900.0, starts=True)
        case "broken":
            return Quality(accuracy, 0.0, 8.0, starts=False)
    return Quality(accuracy, 0.0, 8.0, starts=True)


@dataclass
class Truth:
    """The memory."""

    completed: set[tuple[str, int, int]] = field(default_factory=set)
    """(uid, run, attempt) whose head reported Complete."""
    heads_seen: set[tuple[str, str, str]] = field(default_factory=set)
    """(uid, run, attempt), as labels spell them, whose head has started."""
    recorded: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """By uid, the (run, attempt) that its status has ever had, as labels spell them."""
    hangs: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """By (uid, run, attempt), the workers that hung in it."""
    restart_limits: dict[str, int] = field(default_factory=dict)
    """By uid, the largest recovery.maxRestarts that its spec ever had."""
    versions: dict[str, Quality] = field(default_factory=dict)
    """Model versions that a job has published."""
    served: dict[str, str] = field(default_factory=dict)
    """By pod UID, the model version that a server serves."""
    lost_rollouts: set[tuple[str, str]] = field(default_factory=set)
    """(endpoint uid, version) that a rollout ended against."""
    first_stable: dict[str, str] = field(default_factory=dict)
    """By endpoint uid, the version that became stable when there was none."""
    tables: dict[str, dict[tuple[str, int], DatasetVersion]] = field(default_factory=dict)
    """By table, the versions that runs (uid, run) committed."""
    pins: dict[tuple[str, int, str], Model] = field(default_factory=dict)
    """By (uid, run, field of the status), what the run found first."""
    results: dict[tuple[str, int], RunReport] = field(default_factory=dict)
    """report.json of finished runs: a head that starts after its run is done only says so."""
    checkpoints: dict[tuple[str, int], int] = field(default_factory=dict)
    """The step from which the next attempt of a run resumes."""
