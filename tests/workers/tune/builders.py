"""What the tests of tune build from: one search with sane defaults, and a runner without Ray."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import Kind
from headrace.api.run_spec import RunIdentity, RunSpec
from headrace.api.train_job import TrainJobSpec
from headrace.api.tune_job import Dimension, TuneJobSpec
from headrace_workers.head import Head
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder
from headrace_workers.tune.journal import TrialRecord
from headrace_workers.tune.trial_events import TrialEvent, TrialFinished, TrialMeasured, TrialStopped, TrialWork

TEMPLATE: dict[str, Any] = {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 4}
RATE: dict[str, Any] = {"path": "optimizer.learningRate", "logUniform": {"low": 1e-5, "high": 1e-1}}
MODEL: dict[str, Any] = {"path": "model.builtin", "choice": {"values": ["Perceptron", "ImageClassifier"]}}
DATASET = DatasetVersion(
    uri="file:/nowhere", version=3, digest="sha256:d", records=1797, splits={"train": 1437, "validation": 360}
)


def tune_spec(**changes: Any) -> TuneJobSpec:
    """A search over the learning rate; `changes` are fields as a manifest writes them."""
    wire = {
        "objective": {"metric": "accuracy"},
        "search": [RATE],
        "budget": {"trials": 6},
        "template": TEMPLATE,
        **changes,
    }
    return TuneJobSpec.model_validate(wire)


def dimensions(*wires: dict[str, Any]) -> tuple[Dimension, ...]:
    """Dimensions as a manifest writes them."""
    return tuple(Dimension.model_validate(wire) for wire in wires)


def template(**changes: Any) -> TrainJobSpec:
    """A TrainJob's spec; `changes` are fields as a manifest writes them."""
    return TrainJobSpec.model_validate({**TEMPLATE, **changes})


def head_of(folder: Path, spec: TuneJobSpec) -> Head:
    """A head pod of run 1 whose storage is in `folder`."""
    identity = RunIdentity(
        kind=Kind.TUNE_JOB, namespace="default", name="search", uid="0123456789", run=1, attempt=1, digest="d"
    )
    run = RunSpec(
        identity=identity, storage=f"file:{folder}/run", publish=f"file:{folder}/models", dataset=DATASET, tune=spec
    )
    pod = Pod("head", "127.0.0.1", "", folder / "termination", folder / "run.json", {})
    storage = Folder(run.storage)
    return Head(pod, run, storage, Reporter(pod, storage))


def published(best: TrialRecord, _: TrainJobSpec, __: bytes) -> ModelVersion:
    """A model version that names the trial, without weights."""
    job = JobReference(kind=Kind.TUNE_JOB, name="search", uid="0123456789", run=1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(
        name="search-01234-r1", uri="file:/m", digest="sha256:m", metrics=best.metrics, dataset=DATASET, job=job,
        trial=best.number, created_at=now,
    )  # fmt: skip


Story = Callable[[TrialWork, int], list[TrialEvent]]
"""What a trial tells, given the work and how often it has been started."""


@dataclass
class FakeRunner:
    """Trials that tell their story one event a call, in turn."""

    story: Story
    seats: int = 1
    started: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    stories: dict[int, list[TrialEvent]] = field(default_factory=dict)

    def room(self) -> int:
        return self.seats - len(self.stories)

    def start(self, work: TrialWork) -> None:
        self.started.append(work.number)
        self.stories[work.number] = list(self.story(work, self.started.count(work.number)))

    def stop(self, number: int) -> None:
        self.stopped.append(number)
        if number in self.stories:
            self.stories[number] = [TrialStopped(number)]

    def events(self, timeout_seconds: float) -> list[TrialEvent]:
        if not self.stories:
            time.sleep(min(timeout_seconds, 0.01))
        heard = []
        for number in sorted(self.stories):
            if self.stories[number]:
                heard.append(self.stories[number].pop(0))
            if not isinstance(heard[-1], TrialMeasured):
                del self.stories[number]
        return heard


def learns(quality: Callable[[TrialWork], float]) -> Story:
    """Four epochs whose accuracy rises to the work's quality."""

    def story(work: TrialWork, _: int) -> list[TrialEvent]:
        steps = [
            TrialMeasured(work.number, epoch, {"accuracy": quality(work) * epoch / 4, "loss": 1.0})
            for epoch in (1, 2, 3, 4)
        ]
        return [*steps, TrialFinished(work.number, {"accuracy": quality(work), "loss": 1.0})]

    return story
