"""`kill -9` of the command, and of all that it had started: the same command goes on, and the result is the same."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline
from headrace.api.status import Phase
from tests.whole.conftest import Reference
from tests.whole.harness import Cli, World, shims_of, wait_until
from tests.whole.manifests import EVERY_STEPS, PIPELINE, train_job
from tests.whole.moments import (
    START_SECONDS,
    TRAIN_SECONDS,
    assert_same_result,
    finished_model,
    job_status,
    resumed_from,
    wait_for_checkpoint,
)


def ended_within(cli: Cli, seconds: float) -> bool:
    """Whether the command ends by itself in this time."""
    try:
        cli.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def rows(dataset: DatasetVersion) -> list[dict[str, Any]]:
    """The records of a version, in the order of their ids."""
    from deltalake import DeltaTable

    found: list[dict[str, Any]] = DeltaTable(dataset.uri, version=dataset.version).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: str(row["id"]))


def test_a_pipeline_outlives_the_command(empty_world: World, reference: Reference) -> None:
    """Killed while the pipeline starts: the next command adopts its pods, or makes what is missing, and the data are the same."""
    world = empty_world
    file = world.write("pipeline", PIPELINE)
    cli = world.start(file)
    wait_until(lambda: len(shims_of(world.state_dir)) == 2, START_SECONDS, lambda: cli.output)
    cli.kill()
    before = shims_of(world.state_dir)
    again = world.start(file)
    again.wait_for("unchanged", START_SECONDS)
    assert before.items() >= shims_of(world.state_dir).items(), "no pod was started a second time"
    assert again.end(TRAIN_SECONDS) == 0, again.output
    pipeline = world.status(Kind.DATA_PIPELINE, "digits")
    assert isinstance(pipeline, DataPipeline) and pipeline.status.dataset
    assert (pipeline.status.run, pipeline.status.attempt) == (1, 1)
    found = pipeline.status.dataset
    assert (found.records, found.splits) == (reference.dataset.records, reference.dataset.splits)
    assert (found.version, found.digest) == (reference.dataset.version, reference.dataset.digest)
    assert rows(found) == rows(reference.dataset)


@pytest.mark.slow
def test_training_goes_on_while_the_command_is_dead(reference: Reference) -> None:
    """Killed after a checkpoint: the next command adopts the very processes, and the run never notices."""
    world = reference.world
    job = world.write("orphaned", train_job("orphaned"))
    cli = world.start(reference.pipeline, job)
    wait_for_checkpoint(world, "orphaned", cli)
    before = shims_of(world.state_dir)
    cli.kill()
    assert shims_of(world.state_dir) == before and len(before) == 3, "a head and two workers go on"
    again = world.start(reference.pipeline, job)
    again.wait_for("TrainJob orphaned: unchanged", START_SECONDS)
    assert before.items() >= shims_of(world.state_dir).items(), "no pod was started a second time"
    assert again.end(TRAIN_SECONDS) == 0, again.output
    status = job_status(world, "orphaned")
    assert status and (status.attempt, status.restarts, status.disruptions) == (1, 0, 0)
    assert resumed_from(world, "orphaned") == [0]
    assert_same_result(finished_model(world, "orphaned"), reference.model)


def test_training_resumes_after_a_power_cut(reference: Reference) -> None:
    """Killed together with every pod: the next attempt starts from the last checkpoint and ends at the same weights."""
    world = reference.world
    job = world.write("unplugged", train_job("unplugged"))
    cli = world.start(reference.pipeline, job)
    saved = wait_for_checkpoint(world, "unplugged", cli)
    cli.kill()
    world.pull_the_plug()
    world.run(reference.pipeline, job, seconds=TRAIN_SECONDS)
    status, starts = job_status(world, "unplugged"), resumed_from(world, "unplugged")
    print(f"newest checkpoint seen {saved}, groups started from {starts}")
    assert status and (status.run, status.attempt) == (1, 2)
    assert starts[0] == 0 and starts[-1] >= saved and starts[-1] % EVERY_STEPS == 0
    assert_same_result(finished_model(world, "unplugged"), reference.model)


def test_servers_outlive_the_command(reference: Reference, served: tuple[Path, ...]) -> None:
    """Killed while an endpoint serves: the next command adopts its pods; Ctrl-C then ends them with code 130."""
    world = reference.world
    cli = world.start(*served, until_ready=False)
    cli.wait_for("serving until Ctrl-C", START_SECONDS)
    before = shims_of(world.state_dir)
    cli.kill()
    assert shims_of(world.state_dir) == before
    again = world.start(*served, until_ready=False)
    print(f"serving again after {again.wait_for('serving until Ctrl-C', START_SECONDS):.1f} s")
    assert shims_of(world.state_dir) == before
    again.interrupt()
    assert again.end(15) == 130, again.output
    assert shims_of(world.state_dir) == {}


@pytest.mark.slow
@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.STARTING])
def test_a_run_that_has_hardly_begun_outlives_the_command(reference: Reference, phase: Phase) -> None:
    """Killed before training starts: every pod is there once, and the result is the same."""
    world, name = reference.world, f"early-{phase.lower()}"
    job = world.write(name, train_job(name))
    cli = world.start(reference.pipeline, job)
    wait_until(lambda: (status := job_status(world, name)) and status.phase == phase, START_SECONDS, lambda: cli.output)
    cli.kill()
    world.run(reference.pipeline, job, seconds=TRAIN_SECONDS)
    status = job_status(world, name)
    assert status and (status.attempt, status.restarts) == (1, 0)
    assert_same_result(finished_model(world, name), reference.model)


@pytest.mark.slow
def test_a_run_outlives_many_commands(reference: Reference) -> None:
    """Killed every four seconds until the run is over: one attempt, the same result."""
    world = reference.world
    job = world.write("often", train_job("often"))
    kills = 0
    while (cli := world.start(reference.pipeline, job)) and not ended_within(cli, 4.0):
        cli.kill()
        kills += 1
        assert kills < 60, cli.output
    assert cli.process.returncode == 0, cli.output
    print(f"{kills} kills")
    status = job_status(world, "often")
    assert status and kills >= 2 and (status.attempt, status.restarts) == (1, 0)
    assert_same_result(finished_model(world, "often"), reference.model)
