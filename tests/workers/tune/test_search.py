"""What a search hands out, stops, counts and remembers."""

import pytest

from headrace_workers.faults import RunFault
from headrace_workers.tune.journal import State
from headrace_workers.tune.search import MAX_LOSSES, Search
from tests.workers.tune.builders import MODEL, tune_spec
from tests.workers.tune.memory import memory_journal

pytestmark = pytest.mark.workers


def search_of(spec, journal=None, now=lambda: 0.0):
    """A search on a fresh journal."""
    return Search(spec, memory_journal() if journal is None else journal, now)


def test_the_budget_of_trials_bounds_the_search():
    """After budget.trials no trial is handed out."""
    search = search_of(tune_spec(budget={"trials": 2}))
    assert [search.next_trial().number, search.next_trial().number, search.next_trial()] == [0, 1, None]
    assert search.exhausted


def test_no_trial_starts_after_the_budget_of_seconds():
    """Running trials may end, new ones do not start."""
    now = [0.0]
    search = search_of(tune_spec(budget={"trials": 9, "seconds": 10}), now=lambda: now[0])
    search.next_trial()
    now[0] = 10.0
    assert search.next_trial() is None


def test_the_seconds_of_a_lost_head_count():
    """The budget of seconds spans attempts; time in which no head lived does not count."""
    journal, now = memory_journal(), [0.0]
    spec = tune_spec(budget={"trials": 9, "seconds": 10})
    search = search_of(spec, journal, lambda: now[0])
    record = search.next_trial()
    now[0] = 7.0
    search.complete(record.number, 0.5, {})
    now[0] = 5000.0
    again = search_of(spec, journal, lambda: now[0])
    assert again.seconds == 7.0
    assert again.next_trial() is not None
    now[0] = 5003.0
    assert again.next_trial() is None


def test_a_grid_ends_when_every_combination_was_tried():
    """The budget of a grid is at most its size, and each combination is drawn once."""
    grid = [MODEL, {"path": "optimizer.learningRate", "choice": {"values": [0.1, 0.01]}}]
    search = search_of(tune_spec(algorithm={"grid": {}}, search=grid, budget={"trials": 50}))
    drawn = []
    while record := search.next_trial():
        drawn.append(tuple(record.chosen.values()))
    assert search.budget_trials == 4
    assert drawn == [("Perceptron", 0.1), ("Perceptron", 0.01), ("ImageClassifier", 0.1), ("ImageClassifier", 0.01)]


@pytest.mark.parametrize(("goal", "best"), [("Maximize", 1), ("Minimize", 0)])
def test_the_best_trial_follows_the_goal_and_equals_go_to_the_lower_number(goal, best):
    """Of the values 0.1, 0.9, 0.9, 0.1 the first of the best ones wins, in whatever order they end."""
    search = search_of(tune_spec(objective={"metric": "accuracy", "goal": goal}))
    for _ in range(4):
        search.next_trial()
    for number in (3, 2, 1, 0):
        search.complete(number, (0.1, 0.9, 0.9, 0.1)[number], {})
    assert search.best.number == best


@pytest.mark.parametrize("rule", [{"asha": {}}, {"hyperband": {}}, {"median": {}}])
def test_a_hopeless_trial_is_stopped_early_and_a_better_one_is_not(rule):
    """After four good trials a bad one is stopped before its end, an even better one runs to it."""
    search = search_of(tune_spec(earlyStopping=rule, template=longer(9), budget={"trials": 9}))
    for quality in (0.8, 0.82, 0.84, 0.86):
        whole_trial(search, quality)
    assert whole_trial(search, 0.95) is State.COMPLETE
    # Hyperband deals trials to brackets, and those of its last one all run to their end.
    assert State.PRUNED in [whole_trial(search, 0.1) for _ in range(3)]


def test_every_trial_gets_its_grace_epochs():
    """With graceEpochs 3, ASHA stops nothing after epochs 1 and 2."""
    search = search_of(tune_spec(earlyStopping={"asha": {"graceEpochs": 3}}, template=longer(9)))
    whole_trial(search, 0.9)
    number = search.next_trial().number
    assert [search.measured(number, epoch, 0.01) for epoch in (1, 2, 3)] == [False, False, True]


def test_an_epoch_measured_twice_counts_once():
    """A trial that resumed before its last measurement does not confuse early stopping."""
    search = search_of(tune_spec(earlyStopping={"asha": {}}))
    number = search.next_trial().number
    search.measured(number, 1, 0.5)
    assert not search.measured(number, 1, 0.4)
    assert not search.measured(number, 0, 0.1)


def test_finished_trials_are_never_run_again_and_running_ones_are():
    """After a lost head the same numbers with the same values are handed out first, and then new ones."""
    journal, spec = memory_journal(), tune_spec(budget={"trials": 5}, earlyStopping={"asha": {}})
    search = search_of(spec, journal)
    first = [search.next_trial() for _ in range(4)]
    search.complete(0, 0.5, {"accuracy": 0.5})
    search.measured(2, 1, 0.1)
    search.prune(2)
    search.measured(3, 1, 0.3)
    again = search_of(spec, journal)
    taken_up = [again.next_trial() for _ in range(2)]
    assert [(trial.number, trial.chosen) for trial in taken_up] == [
        (trial.number, trial.chosen) for trial in (first[1], first[3])
    ]
    assert taken_up[1].values == {1: 0.3}
    assert again.next_trial().number == 4
    assert again.next_trial() is None
    assert (again.best.number, again.counts(0).pruned) == (0, 1)


def test_early_stopping_remembers_through_a_lost_head():
    """What trials measured before the head was lost still decides about later ones."""
    journal, spec = memory_journal(), tune_spec(earlyStopping={"asha": {}}, template=longer(9))
    search = search_of(spec, journal)
    for quality in (0.8, 0.82, 0.84):
        whole_trial(search, quality)
    assert whole_trial(search_of(spec, journal), 0.1) is State.PRUNED


def test_a_trial_that_loses_its_worker_is_run_again_a_bounded_number_of_times():
    """It goes first in line with its values, and after too many losses it counts as failed."""
    search = search_of(tune_spec())
    record = search.next_trial()
    for _ in range(MAX_LOSSES):
        search.lost(0)
        assert (again := search.next_trial()).number == 0
        assert again.chosen == record.chosen
    search.lost(0)
    assert search.ended[0].state is State.FAILED
    assert "lost its worker" in search.ended[0].error
    assert search.losses == MAX_LOSSES + 1


def test_losses_count_through_a_lost_head():
    """A trial that takes head and workers down with it does not do so for ever."""
    journal, spec = memory_journal(), tune_spec()
    for _ in range(MAX_LOSSES + 1):
        search = search_of(spec, journal)
        search.lost(search.next_trial().number)
    assert search.ended[0].state is State.FAILED


def test_a_failed_trial_does_not_end_the_search_but_failed_first_ones_do():
    """Two failures pass; the third of three is TrialsFailed with the first error."""
    search = search_of(tune_spec())
    for error in ("first", "second"):
        search.fail(search.next_trial().number, error)
    number = search.next_trial().number
    with pytest.raises(RunFault, match="first 3 trials all failed, the first with: first") as raised:
        search.fail(number, "third")
    assert raised.value.reason == "TrialsFailed"


def test_failures_after_a_success_never_end_the_search():
    """One complete trial shows that the template works."""
    search = search_of(tune_spec())
    search.complete(search.next_trial().number, 0.5, {})
    for _ in range(5):
        search.fail(search.next_trial().number, "no")
    assert search.counts(0).failed == 5


def test_an_objective_that_is_no_number_fails_the_trial():
    """A trial whose loss diverged is failed, not best."""
    search = search_of(tune_spec(objective={"metric": "loss", "goal": "Minimize"}))
    search.complete(search.next_trial().number, float("nan"), {})
    assert (search.best, search.ended[0].state) == (None, State.FAILED)


def longer(epochs):
    """A template of so many epochs."""
    return {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": epochs}


def whole_trial(search, quality, epochs=9):
    """Runs one trial whose accuracy rises to `quality`; returns how it ended."""
    number = search.next_trial().number
    for epoch in range(1, epochs + 1):
        if search.measured(number, epoch, quality * (0.5 + epoch / epochs / 2)):
            search.prune(number)
            return State.PRUNED
    search.complete(number, quality, {"accuracy": quality})
    return State.COMPLETE
