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
    while not training.is_done:
        try:
            if not group.formed:
                group.form(training)
                if training.moves:
                    on_change(training.step, training.last_point, group.missing * training.unshared_steps)
            move = training.move()
        except PeerLost as lost:
            group.lose(lost)
            continue
        if move == Move.RESUME:
            on_start(training.resumed_from, training.roll_backs)
        if move == Move.PART and group.formed:
            on_change(training.step, training.last_point, 0)
        if not training.is_told:
            continue
        if group.leads:
            on_progress(training.snapshot())
        if training.stopping and training.step < training.total:
            raise Interrupted
        if training.regroups:
            group.reform()
    return FitResult(dict(training.metrics or {}), training.step, training.resumed_from, training.traffic)
