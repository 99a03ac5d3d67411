"""A worker's process is killed: the run recovers, and says so."""

from headrace.plan.conditions import find
from tests.whole.conftest import Reference
from tests.whole.harness import commands_of
from tests.whole.manifests import train_job
from tests.whole.moments import (
    TRAIN_SECONDS,
    assert_same_result,
    finished_model,
    job_status,
    resumed_from,
    wait_for_checkpoint,
)


def test_a_killed_worker_is_replaced_and_counted_once(reference: Reference) -> None:
    """SIGKILL of one worker pod's process: one restart, Recovered with the reason, the others train on, and the result is that of an undisturbed run."""
    world = reference.world
    job = world.write("wounded", train_job("wounded"))
    cli = world.start(reference.pipeline, job)
    saved = wait_for_checkpoint(world, "wounded", cli)
    commands_of(world.state_dir, "headrace_workers.ray_worker")[0].kill()
    assert cli.end(TRAIN_SECONDS) == 0, cli.output
    status, starts = job_status(world, "wounded"), resumed_from(world, "wounded")
    print(f"newest checkpoint seen {saved}, groups started from {starts}")
    assert status and (status.attempt, status.restarts, status.disruptions) == (1, 1, 0)
    assert [incident.reason for incident in status.incidents] == ["WorkerLost"]
    recovered = find(status.conditions, "Recovered")
    assert recovered and recovered.status == "True" and recovered.reason == "WorkerLost"
    assert saved and starts == [0], "the group was started anew"
    assert_same_result(finished_model(world, "wounded"), reference.model)
