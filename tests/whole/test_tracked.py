"""A run that is tracked in MLflow, in local mode: its head is killed, and everything is there once; or no MLflow is there at all."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.api.meta import Kind
from headrace.api.objects import TrainJob
from headrace.api.status import Phase
from headrace.plan.conditions import find
from tests.whole.conftest import Reference
from tests.whole.harness import World, commands_of, wait_until
from tests.whole.manifests import train_job
from tests.whole.moments import TRAIN_SECONDS, assert_same_result, finished_model, job_status
from tests.workers.train.tracking.fake_mlflow import FakeMlflow

TOKEN = "t0ken-of-a-shell"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def mlflow() -> Iterator[FakeMlflow]:
    """A server that wants a token."""
    server = FakeMlflow()
    server.authorization = f"Bearer {TOKEN}"
    yield server
    server.close()


def tracked_job(name: str, uri: str) -> str:
    """The job of this folder, tracked; the Secret is not there, as none is in local mode."""
    return f"{train_job(name)}  tracking: {{mlflow: {{uri: '{uri}', experiment: digits, credentials: {{secret: login}}}}}}\n"


def stored_curve(world: World, name: str) -> dict[str, list[tuple[int, float]]]:
    """The curve in the run's storage, by value."""
    status = job_status(world, name)
    assert status
    curve: dict[str, list[tuple[int, float]]] = {}
    for line in Path(status.storage.removeprefix("file://"), "curve.jsonl").read_text().splitlines():
        point = json.loads(line)
        for key, value in point.items():
            if key != "step":
                curve.setdefault(key, []).append((point["step"], value))
    return curve


@pytest.mark.slow
def test_a_killed_head_leaves_no_gap_and_no_double(
    reference: Reference, mlflow: FakeMlflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run of MLflow with the curve as it is stored, all parameters, the model, FINISHED; the token is nowhere."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    world = reference.world
    cli = world.start(reference.pipeline, world.write("tracked", tracked_job("tracked", mlflow.uri)))

    def told_beyond_a_checkpoint() -> bool:
        steps = [each["step"] for run in mlflow.runs.values() for each in run["metrics"]]
        return bool(steps) and max(steps) > 40 and 4 < max(steps) % 20 < 16

    wait_until(told_beyond_a_checkpoint, TRAIN_SECONDS, lambda: cli.output)
    (head,) = commands_of(world.state_dir, "headrace_workers.train")
    head.kill()
    assert cli.end(TRAIN_SECONDS) == 0, cli.output
    status = job_status(world, "tracked")
    assert status and (status.phase, status.attempt) == (Phase.COMPLETE, 2)
    assert_same_result(finished_model(world, "tracked"), reference.model)
    (run,) = mlflow.runs.values()
    told: dict[str, list[tuple[int, float]]] = {}
    for each in run["metrics"]:
        told.setdefault(each["key"], []).append((each["step"], each["value"]))
    curve = stored_curve(world, "tracked")
    assert len(curve["trainLoss"]) > 50
    assert {key: told[key] for key in curve} == curve
    assert told["final.accuracy"] == [(230, reference.model.metrics["accuracy"])]
    assert run["info"]["status"] == "FINISHED" and run["params"]["optimizer.learningRate"] == "0.004"
    assert run["tags"]["headrace.attempt.1"] == "2 workers start from step 0"
    assert run["tags"]["headrace.attempt.2"].startswith("2 workers start from step ")
    assert run["tags"]["headrace.model.uri"] == finished_model(world, "tracked").uri
    condition = find(status.conditions, "Tracked")
    assert condition and condition.status == "True" and mlflow.uri in condition.message
    written = [path for path in world.state_dir.rglob("*") if path.is_file()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_run_without_its_tracker_is_complete_all_the_same(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: the same model, and the status says how many points are missing, and why."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    world = reference.world
    world.run(reference.pipeline, world.write("lonely", tracked_job("lonely", NOBODY)), seconds=TRAIN_SECONDS)
    job = world.status(Kind.TRAIN_JOB, "lonely")
    assert isinstance(job, TrainJob) and job.status.tracking
    assert_same_result(finished_model(world, "lonely"), reference.model)
    (one,) = job.status.tracking
    assert (one.delivered, one.undelivered) == (0, len(stored_curve(world, "lonely")["trainLoss"]) + 1)
    condition = find(job.status.conditions, "Tracked")
    assert condition and condition.status == "False" and "cannot be reached" in condition.message
