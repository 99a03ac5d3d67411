"""One rank's training loop: the same for a run over many workers and for a single-process trial.

It never talks to Ray, to the report or to the operator: callbacks do.
"""

from collections.abc import Callable

from headrace.api.artifacts import StartingWeights
from headrace.api.run_report import CurvePoint, RolledBack
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import Checkpoints
from headrace_workers.train.dataset import LoadedDataset
from headrace_workers.train.group import Group, PeerLost
from headrace_workers.train.own_loop import run_own_loop
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.training import Move, Training


def fit(
    spec: TrainJobSpec,
    data: LoadedDataset,
    storage: Folder,
    *,
    group: Group,
    on_progress: Callable[[Snapshot], None],
    should_stop: Callable[[], bool],
    checkpoints: Folder | None = None,
    on_start: Callable[[int | None, tuple[RolledBack, ...]], None] = lambda resumed_from, roll_backs: None,
    on_change: Callable[[int, CurvePoint | None, int], None] = lambda step, point, lost: None,
    start: StartingWeights | None = None,
) -> FitResult:
    """Trains to the end and leaves a checkpoint of the last step in `checkpoints` (absent: checkpoints/ of `storage`).

    Without a checkpoint it begins with the weights of `start`, if there are any.

    `on_start` hears the step that the loop resumes from, or none, with the roll-backs before, and `on_change` the step at
    which the group became another, with the last point of the curve and the local steps that were lost with ranks.
    `on_progress` is called on rank 0, several times a second at most, at every evaluation, at every checkpoint and when
    training went back to one; what it raises ends the loop. When `should_stop` is true on any rank, all ranks save a
    checkpoint and raise Interrupted. Left is raised on a rank that the others go on without.
    """
    store = Checkpoints(checkpoints or storage.sub("checkpoints"), spec.checkpoints.keep)
    training = Training(spec, data, store, group, should_stop, start)
    loop = Loop(training, group, on_progress, on_start, on_change)
    if spec.loop:
        run_own_loop(spec.loop, loop)
    else:
        while loop.until_step():
            loop.make_move()
    return FitResult(dict(training.metrics or {}), training.step, training.resumed_from, training.traffic)


class Loop:
    """One rank's moves up to the next step, and the step; callbacks hear what they came to."""

    def __init__(
        self, training: Training, group: Group, on_progress: Callable[[Snapshot], None],
        on_start: Callable[[int | None, tuple[RolledBack, ...]], None],
        on_change: Callable[[int, CurvePoint | None, int], None],
    ) -> None:  # fmt: skip
        """Nothing is done yet."""
        self.training = training
        self._group, self._on_progress, self._on_start, self._on_change = group, on_progress, on_start, on_change

    def until_step(self) -> bool:
        """Makes all moves that come before the next step, in a group that stands; false if no step is left."""
        while not self.training.is_done:
            if not self._group.formed:
                self._form()
            elif self.training.next_move == Move.STEP:
                return True
            else:
                self.make_move()
        return False

    def make_move(self) -> bool:
        """Makes the next move; false if a peer was lost, so that it has to be made again. Interrupted once all is saved because it should stop."""
        training, group = self.training, self._group
        try:
            move = training.move()
        except PeerLost as lost:
            group.lose(lost)
            return False
        if move == Move.RESUME:
            self._on_start(training.resumed_from, training.roll_backs)
        if move == Move.PART and group.formed:
            self._on_change(training.step, training.last_point, 0)
        if not training.is_told:
            return True
        if group.leads:
            self._on_progress(training.snapshot())
        if training.stopping and training.step < training.total:
            raise Interrupted
        if training.regroups:
            group.reform()
        return True

    def _form(self) -> None:
        training, group = self.training, self._group
        try:
            group.form(training)
        except PeerLost as lost:
            group.lose(lost)
            return
        if training.moves:
            self._on_change(training.step, training.last_point, group.missing * training.unshared_steps)
