"""A whole search, from the run's spec to the report's final fields, wherever its trials run.

Everything outside comes in as `Means`, so that the same code runs on Ray and in a test without it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.run_report import ReportPhase
from headrace.api.train_job import TrainJobSpec
from headrace.api.tune_job import TuneJobSpec
from headrace_workers.faults import RunFault
from headrace_workers.head import Head
from headrace_workers.storage import Folder
from headrace_workers.tune.account import Account
from headrace_workers.tune.conduct import Conductor
from headrace_workers.tune.history import picture
from headrace_workers.tune.journal import Journal, State, TrialRecord
from headrace_workers.tune.search import Search
from headrace_workers.tune.space import in_dependency_order
from headrace_workers.tune.template import apply, check
from headrace_workers.tune.trial_events import Runner, TrialEvent, TrialWork

HISTORY = "tuning.png"


@dataclass(frozen=True)
class Means:
    """What a search needs from outside: where trials run, and how the best becomes a version."""

    runner: Callable[[DatasetVersion, Folder, int], Runner]
    publish: Callable[[TrialRecord, TrainJobSpec, bytes], ModelVersion]


def whole_search(head: Head, means: Means) -> dict[str, Any]:
    """The whole search, wherever its trials run."""
    spec, dataset = spec_of(head), dataset_of(head)
    search = Search(spec, Journal(head.storage), time.monotonic)
    account = Account(search, spec.objective, head.reporter, head.storage, time.monotonic)

    def heard(event: TrialEvent, running: frozenset[int]) -> None:
        account.heard(event, running)
        drop_losers(head.storage, search, running)

    def work(record: TrialRecord) -> TrialWork:
        return TrialWork(
            record.number, apply(spec.template, record.chosen), every_epoch=spec.early_stopping is not None
        )

    head.reporter.update(phase=ReportPhase.RUNNING, reason="Running", stage="waiting for workers")
    runner = means.runner(dataset, head.storage, spec.budget.parallel)
    Conductor(search, runner, spec.objective.metric, spec.budget.parallel, work, heard).run(head.stopping.is_set)
    best = search.best
    if best is None:
        errors = [trial.error for trial in search.ended if trial.error]
        first = f", the first failed with: {errors[0]}" if errors else ""
        raise RunFault("TrialsFailed", f"none of {len(search.ended)} trials ran to its end{first}"[:1024])
    title = f"{head.spec.identity.name}, run {head.spec.identity.run}: trial {best.number} is best"
    image = picture(search.ended, spec.objective, title)
    head.storage.write(HISTORY, image)
    head.reporter.update(stage=f"publishing trial {best.number}")
    model = means.publish(best, apply(spec.template, best.chosen), image)
    return {**account.fields(0), "model": model, "stage": "", "workers": 0, "message": _summary(search, spec, best)}


def spec_of(head: Head) -> TuneJobSpec:
    """The run's TuneJobSpec."""
    if head.spec.tune is None:
        raise RunFault(
            "InvalidRunSpec", f"the RunSpec of {head.spec.identity.name} has no tune; the operator must set it"
        )
    return head.spec.tune


def dataset_of(head: Head) -> DatasetVersion:
    """The pinned version that every trial learns from."""
    if head.spec.dataset is None:
        raise RunFault(
            "InvalidRunSpec", f"the RunSpec of {head.spec.identity.name} pins no dataset; the operator must set it"
        )
    return head.spec.dataset


def check_spec(spec: TuneJobSpec) -> None:
    """Raises RunFault for what no trial could repair."""
    metrics = (*spec.template.evaluation.metrics, "loss")
    if spec.objective.metric not in metrics:
        fact = f"objective.metric {spec.objective.metric} is not measured"
        next_step = f"add it to template.evaluation.metrics, or take one of {', '.join(metrics)}"
        raise RunFault("InvalidObjective", f"{fact}; {next_step}")
    check(spec.template, in_dependency_order(spec.search), spec.search)


def drop_losers(storage: Folder, search: Search, running: frozenset[int]) -> None:
    """Removes the checkpoints of trials that ended and are not the best: a search of a thousand must not fill the disk."""
    best = search.best
    kept = {best.number} if best else set()
    ended = {trial.number for trial in search.ended} - kept - running
    for name in storage.sub("trials").names():
        if int(name) in ended:
            storage.sub("trials").delete(name)


def _summary(search: Search, spec: TuneJobSpec, best: TrialRecord) -> str:
    states = [trial.state for trial in search.ended]
    stopped = f", {states.count(State.PRUNED)} stopped early" if State.PRUNED in states else ""
    failed = f", {states.count(State.FAILED)} failed" if State.FAILED in states else ""
    lost = f"; {search.losses} times a trial lost its worker and went on" if search.losses else ""
    return (
        f"trial {best.number} of {len(states)} is best: {spec.objective.metric} {best.value:.4g}{stopped}{failed}{lost}"
    )
