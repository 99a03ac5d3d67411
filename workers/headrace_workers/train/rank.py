"""What one worker of the group runs: loads the data, joins its peers, trains, and posts what happens on the board.

A fault of the manifest, the code or the data is posted before it is raised, so that the head ends the run instead of
letting Ray form the group again.
"""

import os
import threading
from dataclasses import dataclass
from typing import Any

from headrace.api import environment
from headrace.api.artifacts import DatasetVersion, StartingWeights
from headrace.api.run_report import RolledBack
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.board import BOARD, GroupStarted, RankError, RankFault, Saved
from headrace_workers.train.progress import Snapshot

ASK_SECONDS = 0.5


@dataclass(frozen=True)
class RankWork:
    """What every rank is given, as text that pickles anywhere."""

    spec: str
    dataset: str
    storage: str
    checkpoints: str
    start: str = ""
    """The weights to begin with, if any."""

    @property
    def starting_weights(self) -> StartingWeights | None:
        """The weights to begin with."""
        return StartingWeights.model_validate_json(self.start) if self.start else None


def train_rank(work: RankWork) -> None:
    """Runs in a Ray Train worker. Returns when training is done or was stopped on request; raises otherwise."""
    import ray
    import ray.train

    board = ray.get_actor(BOARD)
    rank = ray.train.get_context().get_world_rank()
    try:
        _train(work, board, rank)
    except RunFault as fault:
        ray.get(board.post.remote(RankFault(rank, fault.reason, fault.message, fault.retryable)))
        raise
    except Exception as error:
        ray.get(board.post.remote(RankError(rank, f"{type(error).__name__}: {error}"[:1000])))
        raise


def _train(work: RankWork, board: Any, rank: int) -> None:
    # Imported here: the head reads this module too, and has no use for torch.
    import ray
    import ray.train.torch
    import torch

    from headrace_workers.train.dataset import load_dataset
    from headrace_workers.train.group import Group
    from headrace_workers.train.loop import fit

    torch.set_num_threads(max(1, int(os.environ.get(environment.CPUS, environment.CPUS_DEFAULT))))
    spec = TrainJobSpec.model_validate_json(work.spec)
    data = load_dataset(
        DatasetVersion.model_validate_json(work.dataset), spec.dataset, next_token=spec.loss.next_token is not None
    )
    world_size = ray.train.get_context().get_world_size()

    def on_start(resumed_from: int | None, roll_backs: tuple[RolledBack, ...]) -> None:
        if rank == 0:
            board.post.remote(GroupStarted(world_size, resumed_from, roll_backs))

    def on_progress(snapshot: Snapshot) -> None:
        board.post.remote(snapshot)

    device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = Group(rank, world_size, str(device))
    stop = StopWatch(board) if rank == 0 else None
    try:
        result = fit(
            spec, data, Folder(work.storage), group=group, on_progress=on_progress, on_start=on_start,
            should_stop=stop.wanted.is_set if stop else lambda: False, checkpoints=Folder(work.checkpoints),
            start=work.starting_weights,
        )  # fmt: skip
    except Interrupted:
        if rank == 0:
            ray.get(board.post.remote(Saved()))
        return
    finally:
        if stop:
            stop.close()
    if rank == 0:
        ray.get(board.post.remote(result))


class StopWatch:
    """Asks the board in the background whether the ranks should stop, so that no step waits for the answer."""

    def __init__(self, board: Any) -> None:
        """Starts asking."""
        self.wanted = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, args=(board,), name="stop-watch", daemon=True).start()

    def close(self) -> None:
        """Ends the asking."""
        self._closed.set()

    def _watch(self, board: Any) -> None:
        import ray

        while not self._closed.wait(ASK_SECONDS) and not self.wanted.is_set():
            if ray.get(board.stop_wanted.remote()):
                self.wanted.set()
