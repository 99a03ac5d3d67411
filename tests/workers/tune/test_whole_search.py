"""A whole search without Ray: from the run's spec to the report's final fields."""

import json
import time

import pytest

from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.tune.conduct import HAND_OVER_SECONDS
from headrace_workers.tune.journal import TRIALS
from headrace_workers.tune.trial_events import TrialFailed, TrialLost, TrialMeasured
from headrace_workers.tune.whole_search import Means, check_spec, whole_search
from tests.workers.tune.builders import MODEL, RATE, FakeRunner, head_of, learns, published, tune_spec

pytestmark = pytest.mark.workers


def nearness(work):
    """An objective that is best at a learning rate of 0.01, and better for the image classifier."""
    rate = work.spec.optimizer.learning_rate
    return 1.0 / (1.0 + abs(rate - 0.01)) - (0.05 if work.spec.model.builtin == "Perceptron" else 0.0)


def ran(head, runner):
    """The final fields of a search on the runner."""
    return whole_search(head, Means(lambda *_: runner, published))


def journal_of(tmp_path):
    """The journal's lines."""
    return [json.loads(line) for line in (tmp_path / "run" / TRIALS).read_text().splitlines()]


def test_the_best_trial_becomes_the_model_version(tmp_path):
    """The report names the trial, its parameters by path, the counts and the model; the picture is there."""
    head = head_of(tmp_path, tune_spec(search=[RATE, MODEL], budget={"trials": 8, "parallel": 2}))
    runner = FakeRunner(learns(nearness), seats=2)
    fields = ran(head, runner)
    assert sorted(runner.started) == list(range(8))
    assert fields["model"].trial == fields["best_trial"].number
    assert set(fields["best_trial"].parameters) == {"optimizer.learningRate", "model.builtin"}
    assert fields["best_trial"].value == max(end["value"] for end in journal_of(tmp_path) if end["event"] == "ended")
    assert (fields["trials"].complete, fields["trials"].running) == (8, 0)
    assert (fields["progress"].step, fields["progress"].total, fields["progress"].unit) == (8, 8, "trials")
    assert (tmp_path / "run" / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_the_curve_never_gets_worse(tmp_path):
    """Its points are finished trials, their best never falls, and storage and report agree."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 8}))
    ran(head, FakeRunner(learns(nearness)))
    best = [point.values["best"] for point in head.reporter.current.curve]
    assert len(best) == 8
    assert best == sorted(best)
    lines = [json.loads(line)["best"] for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert lines == best


def test_the_live_report_says_what_happens(tmp_path):
    """While trials run the report has their stage, counts, the best so far, rate and time left."""
    head, seen = head_of(tmp_path, tune_spec(budget={"trials": 4})), []

    def watching(work):
        seen.append(head.reporter.current)
        return nearness(work)

    ran(head, FakeRunner(learns(watching)))
    last = seen[-1]
    assert last.stage.startswith("trial ")
    assert last.trials.complete == 3
    assert last.best_trial is not None
    assert last.progress.rate > 0
    assert last.progress.eta_seconds is not None


def test_hopeless_trials_are_stopped_and_leave_no_checkpoints(tmp_path):
    """Early stopping stops trials on their workers; only the best trial's folder stays."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 8, "parallel": 2}, earlyStopping={"asha": {}}))

    def story(work, start):
        folder = tmp_path / "run" / "trials" / str(work.number)
        folder.mkdir(parents=True, exist_ok=True)
        return learns(nearness)(work, start)

    runner = FakeRunner(story, seats=2)
    fields = ran(head, runner)
    assert fields["trials"].pruned == len(runner.stopped) > 0
    assert [path.name for path in (tmp_path / "run" / "trials").iterdir()] == [str(fields["best_trial"].number)]
    assert "stopped early" in fields["message"]


def test_a_lost_worker_costs_the_trial_nothing_but_time(tmp_path):
    """The trial is run again and counts once; the message says that a worker was lost."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 3}))

    def story(work, start):
        whole = learns(nearness)(work, start)
        return [*whole[:2], TrialLost(work.number)] if (work.number, start) == (1, 1) else whole

    runner = FakeRunner(story)
    fields = ran(head, runner)
    assert runner.started == [0, 1, 1, 2]
    assert fields["trials"].complete == 3
    assert "lost its worker" in fields["message"]


def test_workers_that_join_later_are_used(tmp_path):
    """With a budget of four at once, one worker runs one trial and four run four."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 9, "parallel": 4}))
    runner, at_once = FakeRunner(lambda work, start: [], seats=1), []

    def story(work, start):
        at_once.append(len(runner.stories) + 1)
        runner.seats = 4 if work.number >= 2 else 1
        return learns(nearness)(work, start)

    runner.story = story
    ran(head, runner)
    assert at_once[:3] == [1, 1, 1]
    assert max(at_once) == 4


def test_user_code_that_always_fails_ends_the_search(tmp_path):
    """TrialsFailed comes after the first three and carries the first error."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 50}))
    runner = FakeRunner(lambda work, _: [TrialFailed(work.number, f"ValueError: no {work.number}")])
    with pytest.raises(RunFault, match="ValueError: no 0"):
        ran(head, runner)
    assert runner.started == [0, 1, 2]


def test_a_search_of_one_failing_trial_fails(tmp_path):
    """A budget smaller than three does not hide that nothing works."""
    runner = FakeRunner(lambda work, _: [TrialFailed(work.number, "ValueError: no")])
    with pytest.raises(RunFault, match="ValueError: no"):
        ran(head_of(tmp_path, tune_spec(budget={"trials": 1})), runner)


def test_being_asked_to_go_stops_trials_and_the_next_head_goes_on(tmp_path):
    """Interrupted after all trials have stopped; the next head runs only what had not finished, with the same result."""
    spec = tune_spec(budget={"trials": 6, "parallel": 2}, algorithm={"random": {}})
    whole = ran(head_of(tmp_path / "whole", spec), FakeRunner(learns(nearness), seats=2))
    head = head_of(tmp_path / "cut", spec)

    def until_third(work):
        if work.number == 3:
            head.stopping.set()
        return nearness(work)

    runner = FakeRunner(learns(until_third), seats=2)
    with pytest.raises(Interrupted):
        ran(head, runner)
    assert sorted(runner.stopped) == [2, 3]
    again = FakeRunner(learns(nearness), seats=2)
    fields = ran(head_of(tmp_path / "cut", spec), again)
    assert again.started == [2, 3, 4, 5]
    assert (fields["best_trial"], fields["metrics"]) == (whole["best_trial"], whole["metrics"])


def test_trials_that_do_not_stop_do_not_hold_the_head(tmp_path):
    """Handing over is bounded below the five seconds that the head has."""
    head = head_of(tmp_path, tune_spec(budget={"trials": 1}))
    runner = Deaf(
        lambda work, _: [TrialMeasured(work.number, 1, {"accuracy": 0.5})] * 10_000_000, stopping=head.stopping
    )
    with pytest.raises(Interrupted):
        ran(head, runner)
    assert runner.asked_seconds < HAND_OVER_SECONDS + 0.5 < 5


def test_a_crash_at_any_line_of_the_journal_changes_nothing(tmp_path):
    """Whatever prefix of the journal survives, the search ends with the same best trial."""
    spec = tune_spec(budget={"trials": 3}, earlyStopping={"median": {}})
    whole = ran(head_of(tmp_path / "whole", spec), FakeRunner(learns(nearness)))
    lines = (tmp_path / "whole" / "run" / TRIALS).read_bytes().splitlines(keepends=True)
    for kept in range(len(lines) + 1):
        folder = tmp_path / str(kept)
        (folder / "run").mkdir(parents=True)
        (folder / "run" / TRIALS).write_bytes(b"".join(lines[:kept]) + lines[min(kept, len(lines) - 1)][:7])
        assert ran(head_of(folder, spec), FakeRunner(learns(nearness)))["best_trial"] == whole["best_trial"], (
            f"after {kept} lines"
        )


def test_a_metric_that_is_not_measured_is_refused(tmp_path):
    """The fault names the metric and where to add it."""
    with pytest.raises(RunFault, match="add it to template") as raised:
        check_spec(tune_spec(objective={"metric": "f1"}))
    assert raised.value.reason == "InvalidObjective"


class Deaf(FakeRunner):
    """Asks the head to go, and never stops a trial."""

    def __init__(self, story, stopping):
        super().__init__(story)
        self.stopping = stopping

    def events(self, timeout_seconds):
        self.stopping.set()
        time.sleep(min(timeout_seconds, 0.05))
        self.asked_seconds = time.monotonic() - self.asked_at if self.stopped else 0.0
        return []

    def stop(self, number):
        self.asked_at = time.monotonic()
        self.stopped.append(number)
