"""One trial as its worker tells it, on real digits."""

import pytest

from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.dataset import load_dataset
from headrace_workers.tune.trial import evaluated_every_epoch, run_trial
from headrace_workers.tune.trial_events import TrialFailed, TrialFinished, TrialMeasured, TrialStopped, TrialWork
from tests.workers.train.digits import digits_version
from tests.workers.tune.builders import template

pytestmark = pytest.mark.workers


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads 200 digits."""
    version = digits_version(tmp_path_factory.mktemp("data"), 200)
    return lambda spec: load_dataset(version, spec.dataset)


def told(tmp_path, load, spec, should_stop=lambda: False):
    """What a trial of the spec tells."""
    events = []
    run_trial(TrialWork(3, spec, every_epoch=True), load, Folder(f"file:{tmp_path}"), events.append, should_stop)
    return events


def test_every_epoch_is_told_once_and_the_end_last(tmp_path, load):
    """Four epochs are four measurements; the last is what the trial ends with."""
    events = told(tmp_path, load, template())
    assert [event.epoch for event in events if isinstance(event, TrialMeasured)] == [1, 2, 3, 4]
    assert events[-1] == TrialFinished(3, events[-2].metrics)


def test_a_trial_computes_as_its_spec_says(tmp_path, load):
    """In bfloat16, with clipped gradients and in micro-batches: each changes the numbers, and none spoils them."""
    losses = [
        told(tmp_path / str(number), load, template(**changes))[-1].metrics["loss"]
        for number, changes in enumerate(
            ({}, {"precision": "BFloat16"}, {"gradientClipping": {"maxNorm": 0.1}}, {"microBatchSize": 8})
        )
    ]
    assert len(set(losses)) == 4
    assert losses == pytest.approx([losses[0]] * 4, abs=0.5)


def test_a_stopped_trial_goes_on_from_its_checkpoint(tmp_path, load):
    """Stopped at once, then run again, it ends with what an undisturbed trial ends with."""
    assert told(tmp_path / "cut", load, template(), lambda: True)[-1] == TrialStopped(3)
    assert (tmp_path / "cut" / "checkpoints").is_dir()
    assert told(tmp_path / "cut", load, template())[-1] == told(tmp_path / "whole", load, template())[-1]


def test_a_trial_that_had_finished_says_so_again(tmp_path, load):
    """A head that was lost between a trial's end and its journal hears the same end."""
    first = told(tmp_path, load, template())[-1]
    assert told(tmp_path, load, template())[-1] == first


def test_what_user_code_raises_fails_the_trial_only(tmp_path, load):
    """Parameters that the model does not take, and a module that is not there, are TrialFailed with their words."""
    wrong = told(tmp_path, load, template(model={"builtin": "Perceptron", "parameters": {"wings": 2}}))
    missing = told(tmp_path, load, template(model={"module": "no_such_package.model:build"}))
    assert isinstance(wrong[-1], TrialFailed) and "wings" in wrong[-1].error
    assert isinstance(missing[-1], TrialFailed) and "no_such_package" in missing[-1].error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rolls_back", [False, True])
def test_a_trial_that_diverges_fails_unless_it_may_roll_back(tmp_path, load, rolls_back):
    """As its template says, like a TrainJob's run."""
    roll_back = {"recovery": {"onDivergence": {"rollBack": {"learningRateFactor": 0.001}}}}
    squares = {"loss": {"meanSquaredError": {}}, "evaluation": {"metrics": ["loss"]}}
    spec = template(optimizer={"name": "SGD", "learningRate": 10.0}, **squares, **(roll_back if rolls_back else {}))
    end = told(tmp_path, load, spec)[-1]
    assert isinstance(end, TrialFinished if rolls_back else TrialFailed)
    assert rolls_back or end.error.startswith("LossNotFinite: the training loss is")


def test_data_that_cannot_be_loaded_fails_the_trial(tmp_path):
    """A fault of the data is told with its reason."""

    def load(_):
        raise RunFault("ColumnMissing", "no column label")

    assert told(tmp_path, load, template()) == [TrialFailed(3, "ColumnMissing: no column label")]


def test_early_stopping_gets_an_evaluation_an_epoch():
    """1437 records in batches of 64 are 23 steps; an evaluation more often than that stays."""
    assert evaluated_every_epoch(template(), 1437).evaluation.every_steps == 23
    assert evaluated_every_epoch(template(evaluation={"everySteps": 5}), 1437).evaluation.every_steps == 5
