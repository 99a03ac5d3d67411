"""One trial on its worker: a single-process training whose story is told as trial events.

Whatever goes wrong in user code ends the trial and never the worker.
"""

from collections.abc import Callable

from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.dataset import TRAIN, LoadedDataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import Snapshot
from headrace_workers.tune.trial_events import (
    TrialEvent,
    TrialFailed,
    TrialFinished,
    TrialMeasured,
    TrialStopped,
    TrialWork,
)


def run_trial(
    work: TrialWork,
    load: Callable[[TrainJobSpec], LoadedDataset],
    storage: Folder,
    tell: Callable[[TrialEvent], None],
    should_stop: Callable[[], bool],
) -> None:
    """Trains in `storage` to the end or until `should_stop`, and tells each evaluation and, last, how it ended."""

    def on_progress(snapshot: Snapshot) -> None:
        if snapshot.metrics is not None:
            tell(TrialMeasured(work.number, snapshot.epoch, dict(snapshot.metrics)))

    try:
        data = load(work.spec)
        spec = evaluated_every_epoch(work.spec, len(data.splits[TRAIN])) if work.every_epoch else work.spec
        result = fit(spec, data, storage, group=Group(), on_progress=on_progress, should_stop=should_stop)
    except Interrupted:
        tell(TrialStopped(work.number))
    except RunFault as fault:
        tell(TrialFailed(work.number, f"{fault.reason}: {fault.message}"))
    except Exception as error:  # noqa: BLE001 (whatever a user's module raises is its trial's end)
        tell(TrialFailed(work.number, f"{type(error).__name__}: {error}"))
    else:
        tell(TrialFinished(work.number, dict(result.metrics)))


def evaluated_every_epoch(spec: TrainJobSpec, train_records: int) -> TrainJobSpec:
    """The spec, measured at least once an epoch; this changes nothing of what is learnt."""
    every = min(spec.evaluation.every_steps, -(-train_records // spec.batch_size))
    return spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"every_steps": every})})
