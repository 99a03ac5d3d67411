"""The head of a training run: starts Ray, waits for workers, lets them train, publishes what they learnt.

Workers come and go while the others train. Where torchft is not to be had (it has no build but for Linux), Ray Train forms
a group that stays: when one wants to go or others have come it saves, and the next one goes on from there.
"""

import importlib.util
import os
import sys
import time
from dataclasses import replace
from typing import Any

from headrace.api.artifacts import DatasetVersion, ModelVersion, StartingWeights
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.head import Head, run_head
from headrace_workers.ray_cluster import HeadSettings, start_head
from headrace_workers.storage import Folder
from headrace_workers.train.account import Account, stored_curve
from headrace_workers.train.board import make_board
from headrace_workers.train.change import Change
from headrace_workers.train.events import EventLog
from headrace_workers.train.members import Members
from headrace_workers.train.progress import FitResult
from headrace_workers.train.publish import publish_model, published_version
from headrace_workers.train.rank import RankWork
from headrace_workers.train.ray_group import RayGroup, import_early, prepare_environment
from headrace_workers.train.same_tokens import require_same_tokens
from headrace_workers.train.starting_weights import Start, completed, find_start
from headrace_workers.train.stragglers import Stragglers
from headrace_workers.train.supported import require_supported
from headrace_workers.train.tracking.tracking import Tracking, tracked
from headrace_workers.train.workers_of_run import wait_for_group

POLL_SECONDS = 0.1
SAVE_SECONDS = 20.0
"""How long the ranks may take to save after a stop was asked for; the newest checkpoint stands if they take longer."""


def train(head: Head) -> dict[str, Any]:
    """The body of the head: from the RunSpec to the final fields of the report."""
    if head.spec.train is None or head.spec.dataset is None:
        raise RunFault(
            "InvalidRunSpec", "a training run needs train and dataset in its RunSpec; let the operator write it"
        )
    spec, dataset = head.spec.train, head.spec.dataset
    with tracked(head, spec, dataset) as tracking:
        version = published_version(head.spec.identity, Folder(head.spec.publish))
        if version:
            tracking.earlier(stored_curve(head.storage))
        else:
            version = learn(head, spec, dataset, tracking)
        tracking.published(version)
    return {**final_fields(version, dataset), "workers": 0}


def learn(head: Head, spec: TrainJobSpec, dataset: DatasetVersion, tracking: Tracking) -> ModelVersion:
    """Trains, and publishes what was learnt."""
    start = start_of(head, spec)
    if start:
        spec = spec.model_copy(update={"model": completed(spec.model, start)})
        require_same_tokens(start.weights, spec, dataset)
    require_supported(spec)
    weights = start.weights if start else None
    result = train_on_workers(head, spec, dataset, weights, tracking)
    head.reporter.update(stage="publishing", stragglers=())
    return publish_model(
        head.spec.identity,
        spec,
        dataset,
        models=Folder(head.spec.publish),
        checkpoints=checkpoint_folder(head.spec, spec, head.storage),
        metrics=result.metrics,
        started_from=weights,
    )


def final_fields(version: ModelVersion, dataset: DatasetVersion) -> dict[str, Any]:
    """What the final report says about the published version."""
    return {
        "model": version,
        "metrics": version.metrics,
        "dataset": dataset,
        "stage": "",
        "message": f"published model version {version.name}",
    }


def start_of(head: Head, spec: TrainJobSpec) -> Start | None:
    """The weights that the run starts with, if its spec names any."""
    if spec.model.from_ is None:
        return None
    if head.spec.started_from is None:
        message = f"the RunSpec of {head.spec.identity.name} pins no weights for model.from; let the operator write it"
        raise RunFault("InvalidRunSpec", message)
    return find_start(head.spec.started_from, head.storage)


def checkpoint_folder(run: RunSpec, spec: TrainJobSpec, storage: Folder) -> Folder:
    """Where the run's checkpoints are: in its storage, or in a folder of its own under the address of the spec."""
    if spec.checkpoints.uri is None:
        return storage.sub("checkpoints")
    return Folder(spec.checkpoints.uri).sub(f"{run.identity.name}-{run.identity.uid}-r{run.identity.run}")


def train_on_workers(
    head: Head, spec: TrainJobSpec, dataset: DatasetVersion, weights: StartingWeights | None, tracking: Tracking
) -> FitResult:
    """Trains on the run's Ray cluster, which lives as long as this call."""
    prepare_environment(os.environ)
    # Ray Train gives its actors a runtime environment, even if only to hand on these switches.
    start_head(replace(HeadSettings.from_environment(os.environ), runtime_environments=True))
    import_early()
    board = make_board()
    work = RankWork(
        spec.model_dump_json(by_alias=True),
        dataset.model_dump_json(by_alias=True),
        head.storage.uri,
        checkpoint_folder(head.spec, spec, head.storage).uri,
        weights.model_dump_json() if weights else "",
    )
    events = EventLog(head.storage, head.spec.identity.attempt)
    stragglers = Stragglers(spec.stragglers.factor, spec.batch_size)
    account = Account(head.reporter, head.storage, events, stragglers, tracking)
    elastic = importlib.util.find_spec("torchft") is not None
    head.reporter.update(elastic=elastic)
    if elastic:
        wait_for_group(head, spec.stall_seconds)
        head.reporter.update(stage="starting workers")
        accompany(head, board, Members(head.spec, work, head.pod.ip), account)
    while account.result is None:
        joined = wait_for_group(head, spec.stall_seconds)
        head.reporter.update(stage="starting workers")
        board.begin.remote()
        change = Change(head.reporter.departures, joined)
        follow(head, board, RayGroup(head.spec, work, joined), account, change)
    return account.result


def accompany(head: Head, board: Any, members: Members, account: Account) -> None:
    """Keeps the report of an elastic group until training is done; Interrupted when it was the pod that was asked to go."""
    import ray

    departures = head.reporter.departures
    departures.hold()
    stop_by: float | None = None
    while True:
        # Asked before the notes are read: what the ranks posted before they ended is then among them.
        ended = members.ended
        for note in ray.get(board.take.remote()):
            members.hear(note)
            account.hear(note)
        if account.result:
            departures.open()
            return
        if head.stopping.is_set():
            if account.saved or not account.groups or ended or (stop_by and time.monotonic() > stop_by):
                raise Interrupted
            if stop_by is None:
                members.stop()
                stop_by = time.monotonic() + SAVE_SECONDS
        members.look()
        for pod in departures.waiting:
            members.let_go(pod)
        if account.world_size and not members.training:
            account.between_groups()
        while members.left:
            departures.let_go(members.left.pop())
        while members.hung:
            account.hung(*members.hung.pop(0))
        time.sleep(POLL_SECONDS)


def follow(head: Head, board: Any, group: RayGroup, account: Account, change: Change) -> None:
    """Keeps the report until training is done or the group has saved and stopped, so that another can be formed.

    Interrupted when it was the pod that was asked to go.
    """
    import ray

    stop_by: float | None = None
    while True:
        # Asked before the notes are read: what the ranks posted before they ended is then among them.
        ended = group.ended
        for note in ray.get(board.take.remote()):
            account.hear(note)
        if account.result:
            head.reporter.departures.open()
            return
        if head.stopping.is_set() and (account.saved or not account.groups):
            raise Interrupted
        if account.saved and ended:
            account.between_groups()
            change.finish()
            return
        if ended:
            raise RunFault(
                "WorkersFailing", f"Ray gave the group of workers up: {group.error}", retryable=True
            ) from group.error
        if stop_by is None and (head.stopping.is_set() or change.is_due(account.world_size, account.eta_seconds)):
            board.ask_to_stop.remote()
            stop_by = time.monotonic() + SAVE_SECONDS
        if stop_by and time.monotonic() > stop_by and head.stopping.is_set():
            raise Interrupted
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(run_head(train))
