"""One undisturbed run that all tests of this folder compare theirs with, and share the dataset of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline, TrainJob
from tests.whole.harness import World
from tests.whole.manifests import ENDPOINT, PIPELINE, train_job

HERE = Path(__file__).parent
REFERENCE_SECONDS = 300
SERVE_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder: each starts Ray and needs the workers' packages."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.workers)


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run of a pipeline and a job made, and the world in which it lies, stopped."""

    world: World
    pipeline: Path
    job: Path
    dataset: DatasetVersion
    model: ModelVersion


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The reference run, made once."""
    world = World(tmp_path_factory.mktemp("whole"))
    files = world.write("pipeline", PIPELINE), world.write("job", train_job("digits"))
    world.run(*files, seconds=REFERENCE_SECONDS)
    world.stop()
    pipeline, job = world.status(Kind.DATA_PIPELINE, "digits"), world.status(Kind.TRAIN_JOB, "digits")
    assert isinstance(pipeline, DataPipeline) and pipeline.status.dataset
    assert isinstance(job, TrainJob) and job.status.model
    return Reference(world, *files, pipeline.status.dataset, job.status.model)


@pytest.fixture
def reference(finished: Reference) -> Iterator[Reference]:
    """The reference run; whatever a test has started in its world is stopped afterwards, and nothing may be left."""
    yield finished
    finished.world.stop()


@pytest.fixture
def served(reference: Reference) -> Iterator[tuple[Path, ...]]:
    """Manifests with which an endpoint serves the reference's model: a rollout is an edit in place, so nothing is trained."""
    world = reference.world
    endpoint = world.write("endpoint", ENDPOINT)
    world.write("job", train_job("digits", endpoint="digits"))
    files = (reference.pipeline, reference.job, endpoint)
    world.run(*files, seconds=SERVE_SECONDS)
    yield files
    world.delete("ie/digits")


@pytest.fixture
def empty_world(tmp_path: Path) -> Iterator[World]:
    """A world in which nothing was run yet."""
    world = World(tmp_path)
    yield world
    world.stop()
