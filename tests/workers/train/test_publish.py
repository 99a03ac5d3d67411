"""Publishing a model version."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from headrace.api.artifacts import ModelVersion
from headrace.api.run_spec import RunSpec
from headrace_workers.faults import RunFault
from headrace_workers.model_version import MODEL, ModelFolder
from headrace_workers.models import build_network
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder
from headrace_workers.train.dataset import load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.publish import publish_model
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import run_spec


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A finished training of the digits, not yet published."""
    folder = tmp_path_factory.mktemp("run")
    run = run_spec(folder, digits_version(folder), epochs=4)
    assert run.train and run.dataset
    data = load_dataset(run.dataset, run.train.dataset)
    fit(run.train, data, Folder(run.storage), group=Group(), on_progress=lambda _: None, should_stop=lambda: False)
    return run


def publish(run: RunSpec, models: Path) -> ModelVersion:
    assert run.train and run.dataset
    return publish_model(
        run.identity,
        run.train,
        run.dataset,
        models=Folder(f"file://{models}"),
        checkpoints=Folder(run.storage).sub("checkpoints"),
        metrics={"accuracy": 0.9},
    )


def test_a_version_can_be_opened_and_answers(run: RunSpec, tmp_path: Path) -> None:
    """Serving's reader accepts the folder, and network, weights and preprocessing in it recognise raw digits."""
    from sklearn.datasets import load_digits

    version = publish(run, tmp_path)
    opened = ModelFolder.open(version)
    document = opened.document
    assert (document.name, document.shape, document.classes) == ("digits-0a1b2-r1", (8, 8), tuple(range(10)))
    network = build_network(document.source, document.shape or (), len(document.classes or ()))
    network.load_state_dict(safetensors.torch.load(opened.read("weights.safetensors")))
    digits = load_digits()
    inputs = Preprocessing.load(opened.folder).apply(list(digits.data[:50]))
    with torch.no_grad():
        answers = network.eval()(torch.from_numpy(inputs)).argmax(1)
    assert (answers.numpy() == digits.target[:50]).mean() > 0.8


def test_it_is_published_once(run: RunSpec, tmp_path: Path) -> None:
    """Publishing again returns the first version, time and all."""
    assert publish(run, tmp_path) == publish(run, tmp_path)


def test_a_publishing_that_was_killed_is_finished(run: RunSpec, tmp_path: Path) -> None:
    """Without its model.json a folder is no version yet: the same files are written again."""
    first = publish(run, tmp_path)
    (tmp_path / first.name / MODEL).unlink()
    (tmp_path / first.name / "weights.safetensors").write_bytes(b"half")
    (tmp_path / first.name / "weights.safetensors.partial").write_bytes(b"half")
    second = publish(run, tmp_path)
    assert second.digest == first.digest
    assert ModelFolder.open(second).read("weights.safetensors") != b"half"


def test_the_curve_and_its_picture_come_along(run: RunSpec, tmp_path: Path) -> None:
    """curve.jsonl rises in steps and ends with the final evaluation; loss.png is a picture."""
    folder = tmp_path / publish(run, tmp_path).name
    points = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points] == sorted({point["step"] for point in points})
    assert {"trainLoss", "loss", "accuracy", "f1"} <= points[-1].keys()
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_published_without_a_checkpoint(run: RunSpec, tmp_path: Path) -> None:
    """A run whose checkpoints are gone says so."""
    with pytest.raises(RunFault) as caught:
        publish(run.model_copy(update={"storage": f"file://{tmp_path}/nothing"}), tmp_path)
    assert caught.value.reason == "CheckpointMissing"
