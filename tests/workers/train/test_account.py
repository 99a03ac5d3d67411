"""What the head makes of the board's notes."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.api.run_report import CheckpointReference, Hangs, RolledBack, Straggler
from headrace_workers.faults import RunFault
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder
from headrace_workers.train.account import RESTARTS_WITHOUT_PROGRESS, Account
from headrace_workers.train.board import GroupChanged, GroupStarted, RankError, RankFault, Saved
from headrace_workers.train.events import EventLog
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.stragglers import WINDOW_SECONDS, Stragglers
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

    def undo(self, step: int) -> None:
        self.points = [point for point in self.points if point.step <= step]

    def close(self, end: End) -> None:
        pass


class Scene:
    """An account with its report and storage."""

    def __init__(self, folder: Path) -> None:
        self.storage = Folder(f"file://{folder}")
        self.reporter = Reporter(Pod.from_environment({"HEADRACE_TERMINATION_LOG": str(folder / "end")}), self.storage)
        self.told = Told()
        self.tracking = Tracking([self.told], self.reporter)
        self.account = Account(
            self.reporter, self.storage, EventLog(self.storage, 1), Stragglers(1.5, 64), self.tracking
        )

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


def snapshot(step: int, *, saved: bool = False, **changes: Any) -> Snapshot:
    told: dict[str, Any] = {"loss": 1.0 / step if step else 0.0, "metrics": {"accuracy": 0.5}, "point": True, **changes}
    checkpoint = CheckpointReference(step=step, uri="file:///c") if saved else None
    return Snapshot(step, total=100, epoch=0, rate=10.0, checkpoint=checkpoint, **told)


def went_back(*steps: int) -> tuple[RolledBack, ...]:
    return tuple(
        RolledBack(from_step=90, to_step=step, learning_rate=0.1, reason="LossNotFinite", message="the loss is nan")
        for step in steps
    )


def test_progress_has_a_rate_and_an_end(scene: Scene) -> None:
    """Sixty steps left at ten a second are six seconds."""
    scene.account.hear(GroupStarted(2, None))
    scene.account.hear(snapshot(40, saved=True))
    report = scene.reporter.current
    assert (report.progress.step, report.progress.eta_seconds, report.workers, report.group_restarts) == (40, 6.0, 2, 0)
    assert (
        report.metrics == {"trainLoss": 1 / 40, "accuracy": 0.5} and report.checkpoint and report.checkpoint.step == 40
    )


def test_skipped_steps_are_in_the_report(scene: Scene) -> None:
    """As many as the ranks count."""
    scene.account.hear(snapshot(40, skipped_steps=3))
    assert scene.reporter.current.skipped_steps == 3


def test_a_new_group_drops_what_will_be_done_again(scene: Scene) -> None:
    """After a restart from step 20 the curve ends at 20, in the report and in the storage."""
    scene.account.hear(GroupStarted(2, None))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(GroupStarted(1, 20))
    report = scene.reporter.current
    assert (report.group_restarts, report.resumed_from, report.workers) == (1, 20, 1)
    assert scene.steps() == [point.step for point in report.curve] == [10, 20]


def test_a_roll_back_drops_what_will_be_done_again(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """In curve, events, metrics and progress; how often and why is in the report, and in the log."""
    scene.account.hear(GroupStarted(2, None))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step, saved=True))
    scene.account.hear(snapshot(20, saved=True, loss=0.05, point=False, metrics=None, roll_backs=went_back(20)))
    report = scene.reporter.current
    assert scene.steps() == [point.step for point in report.curve] == [10, 20]
    assert (report.roll_backs, report.rolled_back) == (1, went_back(20)[0])
    assert (report.progress.step, report.metrics["trainLoss"], report.checkpoint and report.checkpoint.step) == (20, 0.05, 20)  # fmt: skip
    assert "the loss is nan; training went back from step 90 to 20" in caplog.text
    scene.account.hear(snapshot(30, roll_backs=went_back(20)))
    assert scene.steps() == [10, 20, 30]


def test_a_roll_back_to_the_start_leaves_nothing(scene: Scene) -> None:
    """No curve, no metrics, no checkpoint."""
    scene.account.hear(GroupStarted(2, None))
    scene.account.hear(snapshot(10, saved=True))
    scene.account.hear(snapshot(0, point=False, metrics=None, roll_backs=went_back(0)))
    report = scene.reporter.current
    assert (report.curve, report.metrics, report.checkpoint, report.progress.step) == ((), {}, None, 0)


def test_a_restart_knows_of_earlier_roll_backs(scene: Scene) -> None:
    """Their steps were dropped when they were done: what came since stays."""
    scene.account.hear(GroupStarted(2, 50, went_back(20)))
    assert scene.reporter.current.roll_backs == 1
    scene.account.hear(snapshot(60, roll_backs=went_back(20)))
    scene.account.hear(snapshot(70, roll_backs=went_back(20)))
    assert scene.steps() == [60, 70]


def test_a_roll_back_whose_leader_was_lost_is_heard_later(scene: Scene) -> None:
    """The next leader tells of both; what lies after the earlier of the two steps goes."""
    scene.account.hear(GroupStarted(2, None))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(snapshot(25, roll_backs=went_back(20, 10)))
    assert scene.steps() == [10, 25]
    assert scene.reporter.current.roll_backs == 2


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


def test_trackers_are_told_of_a_roll_back(scene: Scene) -> None:
    """The steps that are taken again have their new values there; the sentence is among the events."""
    scene.told.may_answer.set()
    scene.account.hear(GroupStarted(2, None))
    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(snapshot(20, point=False, metrics=None, roll_backs=went_back(20)))
    scene.account.hear(snapshot(30, loss=7.0, roll_backs=went_back(20)))
    scene.end()
    assert [(point.step, point.values["trainLoss"]) for point in scene.told.points] == [(10, 0.1), (20, 0.05), (30, 7.0)]  # fmt: skip
    assert went_back(20)[0].sentence in scene.told.facts["headrace.attempt.1"]


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


def test_who_straggles_is_in_the_report(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its figures, once the ranks have said for a whole window how long they are busy; no longer than it is there."""
    now = 100.0
    monkeypatch.setattr("headrace_workers.train.account.time.monotonic", lambda: now)

    def told(busy: dict[str, float]) -> list[Straggler]:
        scene.account.hear(replace(snapshot(10), point=False, busy=busy))
        return list(scene.reporter.current.stragglers)

    while now < 100.0 + WINDOW_SECONDS:
        assert told({"w-0": 0.02, "w-1": 0.02, "w-2": 0.08}) == []
        now += 0.5
    assert told({"w-0": 0.02, "w-1": 0.02, "w-2": 0.08}) == [
        Straggler(pod="w-2", step_seconds=0.08, median_step_seconds=0.02)
    ]
    assert told({"w-0": 0.02, "w-1": 0.02}) == []


def test_who_hung_is_counted(scene: Scene) -> None:
    """The report has how many there were, and the last one with how that was seen."""
    assert scene.reporter.current.hangs is None
    scene.account.hung("w-0", "it has not answered for 5 s")
    scene.account.hung("w-1", "the others have waited for it for 60 s")
    assert scene.reporter.current.hangs == Hangs(count=2, pod="w-1", why="the others have waited for it for 60 s")


def test_tensorboard_reads_the_events(scene: Scene, tmp_path: Path) -> None:
    """Each value is a scalar of TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (10, 20):
        scene.account.hear(snapshot(step))
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("accuracy")] == [(10, 0.5), (20, 0.5)]


def test_tensorboard_forgets_what_was_undone(scene: Scene, tmp_path: Path) -> None:
    """A step that is taken again has one value: the last."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step in (10, 20, 30):
        scene.account.hear(snapshot(step))
    scene.account.hear(snapshot(10, point=False, roll_backs=went_back(10)))
    scene.account.hear(snapshot(20, metrics={"accuracy": 0.75}, roll_backs=went_back(10)))
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("accuracy")] == [(10, 0.5), (20, 0.75)]
