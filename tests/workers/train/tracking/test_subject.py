"""What a tracked run is described by."""

from pathlib import Path

from headrace_workers.train.tracking.subject import subject_of
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import run_spec

SPEC = {
    "model": {"builtin": "Perceptron", "parameters": {"hidden": 128, "lay:ers": [1, 2], "empty": {}}},
    "pods": {"environment": [{"name": "PASSWORD", "value": "s3cret"}]},
    "tracking": {"mlflow": {"uri": "http://mlflow", "experiment": "digits", "credentials": {"secret": "login"}}},
}


def test_parameters_are_what_a_model_learns_by(tmp_path: Path) -> None:
    """Flat names and texts; nothing of pods, and nothing of the trackers themselves."""
    run = run_spec(tmp_path, digits_version(tmp_path), **SPEC)
    assert run.train and run.dataset
    subject = subject_of(run, run.train, run.dataset)
    assert subject.parameters["optimizer.learningRate"] == "0.003"
    assert subject.parameters["model.parameters.lay_ers"] == "[1, 2]"
    assert subject.parameters["model.parameters.empty"] == "{}"
    assert subject.parameters["epochs"] == "20" and "steps" not in subject.parameters
    said = " ".join([*subject.parameters, *subject.parameters.values(), *subject.facts.values()])
    assert not [word for word in ("PASSWORD", "s3cret", "login", "pods", "tracking") if word in said]


def test_a_run_has_one_key_in_all_attempts_and_its_lineage(tmp_path: Path) -> None:
    """The object's UID and the run's number; the dataset by address, version and digest."""
    run = run_spec(tmp_path, digits_version(tmp_path))
    again = run.model_copy(update={"identity": run.identity.model_copy(update={"attempt": 2})})
    assert run.train and run.dataset
    first, second = (subject_of(each, run.train, run.dataset) for each in (run, again))
    assert first.key == second.key == "0a1b2c3d-r1" and first.name == second.name == "digits-0a1b2-r1"
    assert (first.facts["headrace.attempt"], second.facts["headrace.attempt"]) == ("1", "2")
    assert first.facts["headrace.dataset.digest"] == run.dataset.digest
