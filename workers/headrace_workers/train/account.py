"""What the head makes of the board's notes: the report, the curve, the events, and the verdict on a group that fails.

It decides nothing about pods: a run that cannot go on ends with a reason, and the operator takes it from there.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence

from headrace.api.run_report import CurvePoint, Hangs, Progress, ReportPhase, RolledBack, Traffic
from headrace_workers.faults import RunFault
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder
from headrace_workers.train.board import GroupChanged, GroupStarted, Note, RankError, RankFault, Ready, Saved, Trains
from headrace_workers.train.events import EventLog
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.stragglers import Stragglers
from headrace_workers.train.tracking.tracking import Tracking

CURVE = "curve.jsonl"
RESTARTS_WITHOUT_PROGRESS = 5

logger = logging.getLogger(__name__)


class Account:
    """Reads notes and keeps the report.

    `result` is set once training is done, `saved` once a group has stopped on request, `world_size` while one trains.
    """

    def __init__(
        self, reporter: Reporter, storage: Folder, events: EventLog, stragglers: Stragglers, tracking: Tracking
    ) -> None:
        """Starts before the first group."""
        self.result: FitResult | None = None
        self.groups = 0
        self.world_size = 0
        self.saved = False
        self._reporter, self._storage, self._events = reporter, storage, events
        self._stragglers, self._tracking = stragglers, tracking
        self._step = 0
        self._fruitless = 0
        self._last_error = ""

    def hear(self, note: Note) -> None:
        """Takes one note; RunFault where it ends the run."""
        match note:
            case GroupStarted():
                self._started(note)
            case GroupChanged():
                self._changed(note)
            case Snapshot():
                self._progressed(note)
            case RankFault():
                raise RunFault(note.reason, note.message, retryable=note.retryable)
            case RankError():
                logger.warning("rank %d failed: %s", note.rank, note.text)
                self._last_error = f"rank {note.rank}: {note.text}"
            case Saved():
                self.saved = True
            case FitResult():
                self.result = note
            case Ready() | Trains():
                logger.debug("%s", note)

    def between_groups(self) -> None:
        """The last group was stopped, and the next is about to be formed."""
        self.saved, self.world_size = False, 0
        self._fruitless = 0
        self._reporter.update(stage="regrouping", workers=0)

    def hung(self, pod: str, why: str) -> None:
        """A member hung, and was ended; another starts in its place."""
        before = self._reporter.current.hangs
        self._reporter.update(hangs=Hangs(count=before.count + 1 if before else 1, pod=pod, why=why))

    @property
    def eta_seconds(self) -> float | None:
        """How long training still takes at its rate; none while that is unknown."""
        progress = self._reporter.current.progress
        return progress.eta_seconds if progress else None

    def _started(self, note: GroupStarted) -> None:
        self.groups += 1
        self.saved = False
        self.world_size = note.world_size
        self._fruitless += 1
        if self._fruitless > RESTARTS_WITHOUT_PROGRESS:
            message = f"the group of workers was formed {RESTARTS_WITHOUT_PROGRESS} times without one step done; last error: {self._last_error or 'a worker was lost'}"
            raise RunFault("WorkersFailing", message, retryable=True)
        resumed = note.resumed_from or 0
        # What the lost group did after its last checkpoint is done again, so its points go.
        keep_until(self._storage, resumed)
        curve = tuple(point for point in self._reporter.current.curve if point.step <= resumed)
        changes = {"resumed_from": note.resumed_from} if note.resumed_from is not None else {}
        self._reporter.update(
            phase=ReportPhase.RUNNING,
            reason="Running",
            stage="training",
            workers=note.world_size,
            group_restarts=self.groups - 1,
            curve=curve,
            roll_backs=len(note.roll_backs),
            rolled_back=note.roll_backs[-1] if note.roll_backs else None,
            **changes,
        )
        logger.info("group %d of %d workers starts from step %d", self.groups, note.world_size, resumed)
        self._tracking.resumed(resumed)
        if self.groups == 1:
            self._tracking.earlier(stored_curve(self._storage))
        self._tracking.event(f"{note.world_size} workers start from step {resumed}")

    def _changed(self, note: GroupChanged) -> None:
        self.world_size = note.world_size
        self._reporter.update(stage="training", workers=note.world_size)
        curve = self._reporter.current.curve
        if note.point and note.point.step > (curve[-1].step if curve else 0):
            self._record(note.point.step, note.point.values, note.world_size)
        self._tracking.event(f"{note.world_size} workers from step {note.step} on")
        logger.info("the group is of %d workers from step %d on", note.world_size, note.step)
        if note.lost_steps:
            lost = self._reporter.current.lost_local_steps + note.lost_steps
            self._reporter.update(lost_local_steps=lost)
            logger.warning("%d local steps of lost workers are gone, %d in all", note.lost_steps, lost)
            self._tracking.event(f"{note.lost_steps} local steps of lost workers are gone")

    def _progressed(self, note: Snapshot) -> None:
        if undone := note.roll_backs[self._reporter.current.roll_backs :]:
            self._went_back(note.roll_backs, undone)
        if note.step > self._step:
            self._step, self._fruitless = note.step, 0
        left = (note.total - note.step) / note.rate if note.rate > 0 else None
        changes = {"checkpoint": note.checkpoint} if note.checkpoint else {}
        self._reporter.update(
            progress=Progress(step=note.step, total=note.total, rate=note.rate, eta_seconds=left),
            # Before the first step there is nothing to show.
            metrics={**self._reporter.current.metrics, **(note.values if note.step else {})},
            traffic=note.traffic,
            skipped_steps=note.skipped_steps,
            **changes,
        )
        self._stragglers.hear(note.busy, 1 / note.rate if note.rate > 0 else 0.0, time.monotonic())
        self._tell_stragglers()
        if note.point:
            self._record(note.step, note.values, self.world_size, note.traffic)

    def _record(self, step: int, values: Mapping[str, float], workers: int, traffic: Traffic | None = None) -> None:
        self._reporter.record(step, values)
        self._events.record(step, values)
        self._tracking.point(step, values, traffic, workers=workers)

    def _tell_stragglers(self) -> None:
        found, before = self._stragglers.found, {each.pod for each in self._reporter.current.stragglers}
        self._reporter.update(stragglers=found)
        for each in found:
            if each.pod not in before:
                logger.warning("worker %s straggles: it is busy for %.3g s a step, where the median is %.3g s", each.pod, each.step_seconds, each.median_step_seconds)  # fmt: skip
        for pod in sorted(before - {each.pod for each in found}):
            logger.info("worker %s straggles no longer", pod)

    def _went_back(self, roll_backs: Sequence[RolledBack], undone: Sequence[RolledBack]) -> None:
        """What was told of the steps that are taken again goes: several roll-backs only where a leader was lost between them."""
        step = min(each.to_step for each in undone)
        self._step, self._fruitless = step, 0
        keep_until(self._storage, step)
        self._events.purge_after(step)
        curve = tuple(point for point in self._reporter.current.curve if point.step <= step)
        self._reporter.update(
            curve=curve,
            metrics=dict(curve[-1].values) if curve else {},
            checkpoint=self._reporter.current.checkpoint if step else None,
            roll_backs=len(roll_backs),
            rolled_back=roll_backs[-1],
        )
        self._tracking.undone(step)
        for each in undone:
            logger.warning("%s", each.sentence)
            self._tracking.event(each.sentence)


def stored_curve(storage: Folder) -> list[CurvePoint]:
    """The whole points of the stored curve."""
    if not storage.exists(CURVE):
        return []
    lines = [line for line in storage.read(CURVE).decode().splitlines() if _step_of(line) != float("inf")]
    points = [json.loads(line) for line in lines]
    return [CurvePoint(step=point.pop("step"), values=point) for point in points]


def keep_until(storage: Folder, step: int) -> None:
    """Drops the points of the stored curve that lie after a step."""
    if not storage.exists(CURVE):
        return
    lines = storage.read(CURVE).decode().splitlines()
    storage.write(CURVE, "".join(f"{line}\n" for line in lines if _step_of(line) <= step).encode())


def _step_of(line: str) -> float:
    """The step of a point; one that a kill cut in half lies after all steps."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):
        return float("inf")
