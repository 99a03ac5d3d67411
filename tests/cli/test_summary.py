"""What is told at the end: results, places, a request to paste, and why something failed."""

import json
from io import StringIO
from pathlib import Path

from rich.console import Console

from headrace.api.run_report import BestTrial, Records
from headrace.api.status import EndpointPhase, Phase, VersionStatus
from headrace.cli.example import curl
from headrace.cli.failure import failure_lines
from headrace.cli.results import finished_already, result
from headrace.cli.summary import outcome_table, place_lines, places


def test_a_pipelines_result_is_its_records(pipeline, dataset):
    """A dataset tells its records by split, and what was left out."""
    done = pipeline(phase=Phase.COMPLETE, dataset=dataset, records=Records(read=1800, written=1797, quarantined=3))
    assert result(done) == "1,797 records (1,617 train + 180 validation), 3 quarantined"


def test_a_searchs_result_is_its_best_trial(tune):
    """A TuneJob tells the best objective and the trial that reached it."""
    assert (
        result(tune(phase=Phase.COMPLETE, best_trial=BestTrial(number=7, value=0.981)))
        == "best accuracy 0.981 in trial 7"
    )


def test_an_endpoints_result_is_its_traffic(endpoint):
    """An endpoint tells which version has which share."""
    assert result(endpoint(versions=(VersionStatus(version="v1", weight=100),))) == "v1 100 %"


def test_places_are_whole_and_copyable(pipeline, train, endpoint, dataset, model):
    """Every place is on a line of its own, never folded into a cell."""
    made = [
        pipeline(phase=Phase.COMPLETE, dataset=dataset),
        train(phase=Phase.COMPLETE, model=model()),
        endpoint(phase=EndpointPhase.READY, url="http://127.0.0.1:8080/predict"),
    ]
    assert place_lines(places(made, {made[1].key: Path("/state/pods/digits/log")})) == [
        "dataset    digits  /state/storage/digits (version 3)",
        "model      digits  /state/storage/models/digits-abcde-r1",
        "loss plot  digits  /state/storage/models/digits-abcde-r1/loss.png",
        "log        digits  /state/pods/digits/log",
        "endpoint   digits  http://127.0.0.1:8080/predict",
    ]


def test_the_outcome_table_names_object_state_and_result(train, model):
    """The last table has a row for each object."""
    text = StringIO()
    Console(file=text, width=100, color_system=None).print(outcome_table([train(phase=Phase.COMPLETE, model=model())]))
    assert "TrainJob digits   Complete   accuracy 0.978" in text.getvalue()


def test_a_request_uses_the_models_own_example(endpoint, model, tmp_path):
    """The curl line has the instance that the model was published with."""
    (tmp_path / "model.json").write_text(json.dumps({"example": [0.0, 1.0]}))
    ready = endpoint(url="http://127.0.0.1:8080/predict", stable=model(uri=f"file://{tmp_path}"))
    assert (
        curl(ready)
        == "curl -s http://127.0.0.1:8080/predict -H 'Content-Type: application/json' -d '{\"instances\":[[0.0,1.0]]}'"
    )


def test_a_request_without_an_example_has_the_models_shape(endpoint, model, tmp_path):
    """A model that only says its shape gets an instance of zeros, which it answers."""
    (tmp_path / "model.json").write_text(json.dumps({"shape": [2, 2]}))
    ready = endpoint(url="http://127.0.0.1:8080/predict", stable=model(uri=f"file://{tmp_path}"))
    assert curl(ready).endswith("""-d '{"instances":[[[0,0],[0,0]]]}'""")


def test_a_request_to_an_unreadable_model_has_dots_to_fill_in(endpoint, model, tmp_path):
    """Where the model's folder cannot be read the form of a request is given."""
    ready = endpoint(url="http://127.0.0.1:8080/predict", stable=model(uri=f"file://{tmp_path}"))
    assert curl(ready).endswith("""-d '{"instances":["..."]}'""")


def test_a_failed_run_tells_its_condition_and_the_end_of_its_log(train, condition, tmp_path):
    """A failure is a sentence, the log's place and its last 15 lines."""
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    lines = failure_lines(
        train(phase=Phase.FAILED, conditions=(condition("Failed", "True", "BadData", "the label column is empty"),)),
        log,
    )
    assert lines[0] == "TrainJob digits: Failed: BadData: the label column is empty"
    assert "headrace logs trainjob/digits" in lines[1]
    assert (lines[2], lines[-1], len(lines)) == ("  | line 85", "  | line 99", 17)


def test_what_was_finished_already_says_so(train, pipeline, model, dataset):
    """An object that has nothing left to do names its run and result."""
    assert (
        finished_already(train(phase=Phase.COMPLETE, run=1, model=model()))
        == "digits: Complete already (run 1, accuracy 0.978); nothing to train"
    )
    told = finished_already(pipeline(phase=Phase.COMPLETE, run=2, dataset=dataset))
    assert told == "digits: Complete already (run 2, 1,797 records (1,617 train + 180 validation)); nothing to prepare"


def test_what_failed_already_says_how_to_try_again(train):
    """A run that failed before is not silently left: the way on is told."""
    told = finished_already(train(phase=Phase.FAILED, run=1))
    assert (
        told
        == "digits: Failed already (run 1); an edit of its manifest, or `headrace delete trainjob/digits`, lets it run again"
    )


def test_what_is_edited_is_not_finished(train, model):
    """A Complete status of an older generation is not taken for the edit's."""
    assert finished_already(train(phase=Phase.COMPLETE, run=1, model=model(), observed_generation=0)) is None
