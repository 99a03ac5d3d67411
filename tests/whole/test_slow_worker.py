"""A worker is slow, or hangs: the others' patience is seen in the status, and that it is over."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace.api.meta import Condition
from headrace.plan.conditions import find
from tests.whole.harness import STOP_SECONDS, Cli, World, commands_of, wait_until
from tests.whole.manifests import PIPELINE, train_job
from tests.whole.moments import START_SECONDS, job_status

pytestmark = pytest.mark.slow
BUILD_SECONDS = 2 * START_SECONDS
"""The pipeline runs first."""
BEGIN_SECONDS = 60.0
END_SECONDS = 120.0
"""A straggler is judged by ten seconds, and forgiven after thirty; a busy machine adds to that."""


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes the worker slow whose name's end is written into it."""
    return tmp_path_factory.mktemp("slow") / "pod"


@pytest.fixture(scope="module")
def training(slow_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Cli]]:
    """A long run of two workers that has begun to train."""
    world = World(tmp_path_factory.mktemp("training"))
    job = world.write("job", train_job("long", epochs=2000, slow_file=str(slow_file)))
    cli = world.start(world.write("pipeline", PIPELINE), job)
    try:
        wait_until(lambda: step(world) > 50, BUILD_SECONDS, lambda: cli.output)
        yield world, cli
    finally:
        cli.interrupt()
        cli.end(STOP_SECONDS)
        world.stop()


def step(world: World) -> int:
    status = job_status(world, "long")
    return status.progress.step if status and status.progress else 0


def condition(world: World, name: str) -> Condition | None:
    status = job_status(world, "long")
    return find(status.conditions, name) if status else None


def test_a_slow_worker_is_named_until_it_keeps_up(training: tuple[World, Cli], slow_file: Path) -> None:
    """Straggling tells its pod and how slow it is, `headrace status` and `headrace run` show that, and it ends."""
    world, cli = training
    assert condition(world, "Straggling") is None
    slow_file.write_text("-worker-1")
    wait_until(
        lambda: (found := condition(world, "Straggling")) and found.status == "True", BEGIN_SECONDS, lambda: cli.output
    )
    shown = world.command("status", "long", "--state-dir", str(world.state_dir))
    assert shown.end(START_SECONDS) == 0
    assert "Straggling=True WorkerSlow: " in shown.output and "-worker-1 is busy for" in shown.output
    assert "2/2 workers, 1 of them slow" in shown.output
    slow_file.unlink()
    cli.wait_for("AllKeepUp: no worker holds the others up", END_SECONDS)
    found = condition(world, "Straggling")
    assert found and found.status == "False"
    assert cli.output.count("WorkerSlow: ") == cli.output.count("AllKeepUp: ") == 1


def test_a_worker_that_hangs_is_named(training: tuple[World, Cli]) -> None:
    """A process that does not answer is replaced on the same pod: that is noted, and nothing was restarted."""
    world, cli = training
    process = next(
        each
        for command in commands_of(world.state_dir, "headrace_workers.ray_worker")
        for each in command.children(recursive=True)
        if "Member" in " ".join(each.cmdline())
    )
    process.suspend()
    psutil.wait_procs([process], timeout=START_SECONDS)
    wait_until(lambda: (status := job_status(world, "long")) and status.hangs, START_SECONDS, lambda: cli.output)
    status = job_status(world, "long")
    # On a busy machine others, too, may not have answered for five seconds.
    assert status and (status.attempt, status.restarts) == (1, 0) and status.hangs >= 1
    assert "another started in its place: it has not answered for" in status.incidents[-1].message
    cli.wait_for("WorkerHung: attempt 1: the worker on ", BEGIN_SECONDS)
    before = step(world)
    wait_until(lambda: step(world) > before + 20, START_SECONDS, lambda: cli.output)
