"""What a training loop says while it runs, as values that travel between processes. No torch here: the head reads them too."""

from dataclasses import dataclass, field

from headrace.api.run_report import CheckpointReference, RolledBack, Traffic


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at one step, as rank 0 sees it.

    `loss` is the mean training loss since the last point of the curve. `metrics` is set where an evaluation was made,
    `point` where the step belongs to the curve, `checkpoint` where one was just saved or gone back to. `skipped_steps`
    changed nothing: their gradients were not finite in float16. `busy` has the seconds of a step that each pod was busy
    itself since ranks last talked, where ranks know their pods. `roll_backs` are those of the run.
    """

    step: int
    total: int
    epoch: int
    loss: float
    rate: float
    metrics: dict[str, float] | None = None
    point: bool = False
    checkpoint: CheckpointReference | None = None
    traffic: Traffic = field(default_factory=Traffic)
    skipped_steps: int = 0
    busy: dict[str, float] = field(default_factory=dict)
    roll_backs: tuple[RolledBack, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """The values of the curve at this step: trainLoss, and what was measured."""
        return {"trainLoss": self.loss, **(self.metrics or {})}


@dataclass(frozen=True)
class FitResult:
    """How a training loop ended: the final evaluation and the step; the weights are in the checkpoint of that step."""

    metrics: dict[str, float]
    step: int
    resumed_from: int | None = None
    traffic: Traffic = field(default_factory=Traffic)
