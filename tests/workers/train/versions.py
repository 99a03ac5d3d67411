"""Runs that make a model version of the digits, and runs that start from one."""

from pathlib import Path
from typing import Any

import pytest

from headrace.api.artifacts import StartingWeights
from headrace.api.run_spec import RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import Checkpoint, Checkpoints
from headrace_workers.train.dataset import load_dataset
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import FitResult
from headrace_workers.train.publish import publish_model
from headrace_workers.train.starting_weights import completed, find_start
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import run_spec

HEAD = "5"
"""The last layer of the Perceptron: Flatten, Linear, ReLU, Linear, ReLU, Linear."""


def published(folder: Path) -> tuple[RunSpec, StartingWeights]:
    """A published version that recognises digits, and the run that made it."""
    run = run_spec(folder, digits_version(folder), epochs=6)
    train(run, folder, None)
    assert run.train and run.dataset
    made = publish_model(
        run.identity, run.train, run.dataset, models=Folder(run.publish),
        checkpoints=Folder(f"file://{folder}/checkpoints"), metrics={},
    )  # fmt: skip
    return run, StartingWeights(name=made.name, uri=made.uri, digest=made.digest)


def train(run: RunSpec, folder: Path, start: StartingWeights | None, **options: Any) -> FitResult:
    """Trains the run's spec in a folder, from its checkpoints if it has some."""
    assert run.train and run.dataset
    options = {"on_progress": lambda _: None, "should_stop": lambda: False} | options
    data = options.pop("data", None) or load_dataset(run.dataset, run.train.dataset)
    return fit(run.train, data, Folder(f"file://{folder}"), group=Group(), start=start, **options)


def interrupted(run: RunSpec, folder: Path, start: StartingWeights | None) -> None:
    """Trains the run's spec until it is asked the second time whether to stop."""
    asked = iter(range(1000))
    with pytest.raises(Interrupted):
        train(run, folder, start, should_stop=lambda: next(asked) > 0)


def tuned(run: RunSpec, start: StartingWeights | None, model: dict[str, Any], **changes: Any) -> RunSpec:
    """The run with a model that starts from a version, two short steps long."""
    assert run.train
    wire = run.train.wire() | {"steps": 2, "model": model, "optimizer": {"learningRate": 0.0005}, **changes}
    wire.pop("epochs")
    spec = TrainJobSpec.model_validate(wire)
    if start:
        found = find_start(start, Folder(f"{run.storage}/{start.name}"))
        spec = spec.model_copy(update={"model": completed(spec.model, found)})
    return run.model_copy(update={"train": spec})


def last(folder: Path) -> Checkpoint:
    """The newest checkpoint of a training in a folder."""
    found = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert found
    return found
