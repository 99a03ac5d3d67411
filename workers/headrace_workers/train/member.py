"""What a worker pod runs of an elastic group: an actor that trains in one thread and hears the head in others.

A fault of the manifest, the code or the data is posted on the board before it is raised, so that the head ends the run.
"""

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from headrace.api import environment
from headrace.api.artifacts import DatasetVersion
from headrace.api.run_report import CurvePoint, RolledBack
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.board import BOARD, GroupChanged, GroupStarted, RankError, RankFault, Ready, Saved, Trains
from headrace_workers.train.meeting import Meeting, Pulse
from headrace_workers.train.progress import Snapshot
from headrace_workers.train.rank import RankWork

if TYPE_CHECKING:
    from headrace_workers.train.elastic_group import ElasticGroup

CONCURRENCY = 4
"""Training, and what the head says meanwhile."""


class Member:
    """The actor. `train` is called once; the other methods while it runs."""

    def __init__(self, work: RankWork, meeting: Meeting, pod: str) -> None:
        """Does nothing yet."""
        self._work, self._meeting, self._pod = work, meeting, pod
        self._group: ElasticGroup | None = None
        self._words: list[str] = []
        self._lock = threading.Lock()

    def train(self) -> None:
        """Returns when training is done, was stopped, or goes on without this worker; raises otherwise."""
        import ray

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        board = ray.get_actor(BOARD)
        try:
            self._train(board)
        except RunFault as fault:
            ray.get(board.post.remote(RankFault(self._rank, fault.reason, fault.message, fault.retryable)))
            raise
        except Exception as error:
            ray.get(board.post.remote(RankError(self._rank, f"{type(error).__name__}: {error}"[:1000])))
            raise

    def tell(self, word: str) -> None:
        """Calls a method of the group: begin, join, let_in, leave or stop; once there is one."""
        with self._lock:
            if self._group is None:
                self._words.append(word)
                return
        getattr(self._group, word)()

    def pulse(self) -> Pulse:
        """How it does."""
        return self._group.pulse if self._group else Pulse(0.0, waits=True)

    @property
    def _rank(self) -> int:
        return self._group.rank if self._group else 0

    def _train(self, board: Any) -> None:
        # Imported here: the head reads this module too, and has no use for torch.
        import ray
        import torch

        from headrace_workers.train.dataset import load_dataset
        from headrace_workers.train.elastic_group import ElasticGroup
        from headrace_workers.train.group import Left
        from headrace_workers.train.loop import fit

        torch.set_num_threads(max(1, int(os.environ.get(environment.CPUS, environment.CPUS_DEFAULT))))
        spec = TrainJobSpec.model_validate_json(self._work.spec)
        data = load_dataset(
            DatasetVersion.model_validate_json(self._work.dataset),
            spec.dataset,
            next_token=spec.loss.next_token is not None,
        )
        device = "cuda:0" if ray.get_gpu_ids() else "cpu"
        if device != "cpu":
            torch.cuda.set_device(device)
        group = ElasticGroup(
            self._meeting,
            ray.util.get_node_ip_address(),
            self._pod,
            device,
            lambda: board.post.remote(Ready(self._pod)),
        )
        self._adopt(group)

        def on_start(resumed_from: int | None, roll_backs: tuple[RolledBack, ...]) -> None:
            board.post.remote(Trains(self._pod))
            if group.leads:
                board.post.remote(GroupStarted(group.world_size, resumed_from, roll_backs))

        def on_change(step: int, point: CurvePoint | None, lost: int) -> None:
            board.post.remote(Trains(self._pod))
            if group.leads:
                board.post.remote(GroupChanged(group.world_size, step, point, lost))

        def on_progress(snapshot: Snapshot) -> None:
            board.post.remote(snapshot)

        try:
            result = fit(
                spec, data, Folder(self._work.storage), group=group, on_progress=on_progress, on_start=on_start,
                on_change=on_change, should_stop=lambda: group.stops, checkpoints=Folder(self._work.checkpoints),
                start=self._work.starting_weights,
            )  # fmt: skip
        except Left:
            return
        except Interrupted:
            if group.leads:
                ray.get(board.post.remote(Saved()))
            return
        finally:
            group.close()
        if group.leads:
            ray.get(board.post.remote(result))

    def _adopt(self, group: "ElasticGroup") -> None:
        with self._lock:
            self._group, words = group, self._words
        for word in words:
            getattr(group, word)()
