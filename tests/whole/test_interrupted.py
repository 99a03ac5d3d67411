"""Ctrl-C while a model is trained: saved, stopped, and resumed by the same command."""

import time

from headrace.api.meta import Kind
from tests.whole.conftest import Reference
from tests.whole.harness import processes_of
from tests.whole.manifests import train_job
from tests.whole.moments import (
    TRAIN_SECONDS,
    assert_same_result,
    finished_model,
    job_status,
    resumed_from,
    wait_for_checkpoint,
)

STOPPED_SECONDS = 15.0


def test_ctrl_c_saves_and_the_same_command_resumes(reference: Reference) -> None:
    """Within 15 seconds a checkpoint is written, no process is left and the code is 130; the result is that of one go."""
    world = reference.world
    job = world.write("interrupted", train_job("interrupted"))
    cli = world.start(reference.pipeline, job)
    saved = wait_for_checkpoint(world, "interrupted", cli)
    asked = time.monotonic()
    cli.interrupt()
    code = cli.end(STOPPED_SECONDS)
    print(f"ended {time.monotonic() - asked:.1f} s after Ctrl-C")
    assert code == 130, cli.output
    assert processes_of(world.state_dir) == []
    assert "the same command resumes" in cli.output
    world.run(reference.pipeline, job, seconds=TRAIN_SECONDS)
    status, starts = job_status(world, "interrupted"), resumed_from(world, "interrupted")
    print(f"newest checkpoint seen {saved}, groups started from {starts}")
    assert status and (status.restarts, status.disruptions) == (0, 1)
    assert starts[-1] > saved, "the ranks saved when they were asked to stop"
    assert_same_result(finished_model(world, "interrupted"), reference.model)
    assert "Traceback" not in world.log_of(Kind.TRAIN_JOB, "interrupted")
