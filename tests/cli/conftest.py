"""Builders for what the command line shows: each makes a whole object of which a test names only what it is about."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import Condition, Kind, ObjectKey
from headrace.api.objects import HeadraceObject, parse_object

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPECS: dict[Kind, dict[str, Any]] = {
    Kind.DATA_PIPELINE: {"source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}},
    Kind.TRAIN_JOB: {
        "dataset": {"pipeline": "digits"},
        "model": {"builtin": "Perceptron"},
        "epochs": 1,
        "rollout": {"endpoint": "digits"},
    },
    Kind.TUNE_JOB: {
        "objective": {"metric": "accuracy"},
        "search": [{"path": "optimizer.learningRate", "logUniform": {"low": 0.001, "high": 0.1}}],
        "template": {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1},
    },
    Kind.INFERENCE_ENDPOINT: {},
}

Build = Callable[..., Any]


def build(kind: Kind, name: str = "digits", spec: dict[str, Any] | None = None, **status: Any) -> HeadraceObject:
    """An object of a kind whose status the planner has seen, with the fields of the status that are given."""
    resource = parse_object(
        {
            "apiVersion": "headrace.dev/v1alpha1",
            "kind": str(kind),
            "metadata": {"name": name, "uid": f"{name}-uid", "creationTimestamp": MOMENT},
            "spec": SPECS[kind] | (spec or {}),
        }
    )
    return resource.model_copy(
        update={"status": resource.status.model_copy(update={"observed_generation": 1, **status})}
    )


@pytest.fixture
def pipeline() -> Build:
    """Builds DataPipelines."""
    return lambda *given, **more: build(Kind.DATA_PIPELINE, *given, **more)


@pytest.fixture
def train() -> Build:
    """Builds TrainJobs."""
    return lambda *given, **more: build(Kind.TRAIN_JOB, *given, **more)


@pytest.fixture
def tune() -> Build:
    """Builds TuneJobs."""
    return lambda *given, **more: build(Kind.TUNE_JOB, *given, **more)


@pytest.fixture
def endpoint() -> Build:
    """Builds InferenceEndpoints."""
    return lambda *given, **more: build(Kind.INFERENCE_ENDPOINT, *given, **more)


@pytest.fixture
def condition() -> Build:
    """Builds Conditions."""

    def make(name: str, status: str = "True", reason: str = "Running", message: str = "") -> Condition:
        return Condition.model_validate(
            {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": MOMENT}
        )

    return make


@pytest.fixture
def dataset() -> DatasetVersion:
    """The third version of a table of digits."""
    return DatasetVersion(
        uri="file:///state/storage/digits",
        version=3,
        digest="sha256:data",
        records=1797,
        splits={"train": 1617, "validation": 180},
    )


@pytest.fixture
def model(dataset: DatasetVersion) -> Build:
    """Builds ModelVersions; a later `day` is a newer one."""

    def make(
        name: str = "digits-abcde-r1",
        day: int = 2,
        uri: str = "file:///state/storage/models/digits-abcde-r1",
        **metrics: float,
    ) -> ModelVersion:
        return ModelVersion(
            name=name, uri=uri, digest="sha256:model", metrics=metrics or {"accuracy": 0.978}, dataset=dataset,
            job=JobReference(kind=Kind.TRAIN_JOB, name="digits", uid="digits-uid", run=1), created_at=MOMENT.replace(day=day),
        )  # fmt: skip

    return make


class FakeWorld:
    """Objects in memory whose pods are a set of names; watchers hear of every change."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, HeadraceObject] = {}
        self._inboxes: list[asyncio.Queue[ObjectKey]] = []
        self.running: set[str] = set()
        self.ends_on_request = True

    async def put(self, resource: HeadraceObject) -> str:
        change = "configured" if resource.key in self._objects else "created"
        self.change(resource)
        return change

    async def delete(self, key: ObjectKey) -> None:
        self._objects.pop(key, None)

    def change(self, resource: HeadraceObject) -> None:
        self._objects[resource.key] = resource
        for inbox in self._inboxes:
            inbox.put_nowait(resource.key)

    def objects(self) -> list[HeadraceObject]:
        return list(self._objects.values())

    def get(self, key: ObjectKey) -> HeadraceObject | None:
        return self._objects.get(key)

    async def watch(self) -> AsyncIterator[ObjectKey]:
        inbox: asyncio.Queue[ObjectKey] = asyncio.Queue()
        for key in self._objects:
            inbox.put_nowait(key)
        self._inboxes.append(inbox)
        while True:
            yield await inbox.get()

    async def shutdown(self, grace_seconds: float) -> None:
        if grace_seconds and not self.ends_on_request:
            await asyncio.sleep(grace_seconds)
        self.running.clear()


@pytest.fixture
def world() -> FakeWorld:
    """An empty world in memory."""
    return FakeWorld()
