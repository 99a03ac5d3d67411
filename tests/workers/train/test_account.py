"""What the head makes of the board's notes."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from headrace.api.run_report import CheckpointReference
from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder
from headrace_workers.train.account import RESTARTS_WITHOUT_PROGRESS, Account
from headrace_workers.train.board import GroupChanged, GroupStarted, RankError, RankFault, Saved
from headrace_workers.train.events import EventLog
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.tracking.tracker import End, Point
from headrace_workers.train.tracking.tracking import Tracking


class Told:
    """A tracker that answers once it may, and keeps what it is told."""

    tool = "told"

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.points: list[Point] = []
        self.facts: dict[str, str] = {}

    def open(self) -> str:
        self.may_answer.wait(10)
        return ""

    def send(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        self.points += points
        self.facts |= facts

    def close(self, end: End) -> None:
        pass


class Scene:
    """An account with its report and storage."""

    def __init__(self, folder: Path) -> None:
        self.storage = Folder(f"file://{folder}")
        self.reporter = Reporter(Pod.from_environment({"HEADRACE_TERMINATION_LOG": str(folder / "end")}), self.storage)
        self.told = Told()
        self.tracking = Tracking([self.told], self.reporter)
        self.account = Account(self.reporter, self.storage, EventLog(self.storage, 1), self.tracking)

    def end(self) -> None:
        self.told.may_answer.set()
        self.tracking.close(End.FINISHED)

    def steps(self) -> list[int]:
        return [json.loads(line)["step"] for line in self.storage.read("curve.jsonl").splitlines()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.end()


def snapshot(step: int, *, saved: bool = False) -> Snapshot:
    return Snapshot(
        step, total=100, epoch=0, loss=1.0 / step, rate=10.0, metrics={"accuracy": 0.5}, point=True,
        checkpoint=CheckpointReference(step=step, uri="file:///c") if saved else None,
    )  # fmt: skip


def test_progress_has_a_rate_and_an_end(scene: Scene) -> None:
    """Sixty steps left at ten a second are six seconds."""
    scene.account.hear(GroupStarted(2, None))
    scene.account.hear(snapshot(40, saved=True))
    report = scene.reporter.current
    assert (report.progress.step, report.progress.eta_seconds, report.workers, report.group_restarts) == (40, 6.0, 2, 0)
    assert (
        report.metrics == {"trainLoss": 1 / 40, "accuracy": 0.5} and report.checkpoint and report.checkpoint.step == 40
    )


def test_a_new_group_drops_what_will_be_done_again(scene: Scene) -> None:
    """After a restart from step 20 the curve ends at 20, in the report and in the storage."""
    scene.account.hear(GroupStarted(2, None))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(GroupStarted(1, 20))
    report = scene.reporter.current
    assert (report.group_restarts, report.resumed_from, report.workers) == (1, 20, 1)
    assert scene.steps() == [point.step for point in report.curve] == [10, 20]


def test_trackers_are_told_what_the_stored_curve_says(scene: Scene) -> None:
    """The points of earlier attempts, those of this one, and none that are done again; who took part, and since when."""
    scene.storage.write("curve.jsonl", b'{"step": 5, "trainLoss": 2.0}\n{"step": 7, "trainLoss": 1.0}\n')
    scene.account.hear(GroupStarted(2, 5))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(GroupStarted(1, 20))
    scene.account.hear(GroupChanged(2, 25, None, lost_steps=3))
    scene.account.hear(snapshot(30))
    scene.end()
    assert [point.step for point in scene.told.points] == scene.steps() == [5, 10, 20, 30]
    assert [point.values.get("workers") for point in scene.told.points] == [None, 2, 2, 2]
    said = "2 workers start from step 5; 1 workers start from step 20; 2 workers from step 25 on; 3 local steps of lost workers are gone"
    assert scene.told.facts == {"headrace.attempt.1": said}


def test_half_a_line_of_the_curve_is_dropped(scene: Scene) -> None:
    """A point that a kill cut in half does not come back."""
    scene.storage.write("curve.jsonl", b'{"step": 10}\n{"ste')
    scene.account.hear(GroupStarted(2, 50))
    assert scene.steps() == [10]


def test_a_fault_ends_the_run_as_it_says(scene: Scene) -> None:
    """A rank's fault keeps its reason, message and whether it is worth another try."""
    with pytest.raises(RunFault, match="line 3") as caught:
        scene.account.hear(RankFault(1, "ModelFailed", "line 3", retryable=False))
    assert (caught.value.reason, caught.value.retryable) == ("ModelFailed", False)


def test_groups_that_do_no_step_are_not_formed_for_ever(scene: Scene) -> None:
    """After five fruitless groups the run fails with the last error, to be tried again elsewhere."""
    scene.account.hear(RankError(0, "RuntimeError: no route"))
    for _ in range(RESTARTS_WITHOUT_PROGRESS):
        scene.account.hear(GroupStarted(2, None))
    with pytest.raises(RunFault, match="no route") as caught:
        scene.account.hear(GroupStarted(2, None))
    assert (caught.value.reason, caught.value.retryable) == ("WorkersFailing", True)


def test_groups_that_progress_may_be_lost_again_and_again(scene: Scene) -> None:
    """Each step done forgives the restarts before it: node losses do not add up."""
    for number in range(3 * RESTARTS_WITHOUT_PROGRESS):
        scene.account.hear(GroupStarted(2, number or None))
        scene.account.hear(snapshot(number + 1))
    assert scene.reporter.current.group_restarts == 3 * RESTARTS_WITHOUT_PROGRESS - 1


def test_a_group_ends_saved_or_with_a_result(scene: Scene) -> None:
    """The two ways a group ends well; after the first another may follow, which starts unsaved."""
    scene.account.hear(GroupStarted(2, None))
    scene.account.hear(Saved())
    assert (scene.account.saved, scene.account.world_size) == (True, 2)
    scene.account.between_groups()
    assert (scene.account.saved, scene.account.world_size) == (False, 0)
    assert (scene.reporter.current.stage, scene.reporter.current.workers) == ("regrouping", 0)
    scene.account.hear(FitResult({"accuracy": 1.0}, 100))
    assert scene.account.result and scene.account.result.step == 100


def test_tensorboard_reads_the_events(scene: Scene, tmp_path: Path) -> None:
    """Each value is a scalar of TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (10, 20):
        scene.account.hear(snapshot(step))
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("accuracy")] == [(10, 0.5), (20, 0.5)]
