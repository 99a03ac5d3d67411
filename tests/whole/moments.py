"""The moments of a training run at which these tests disturb it, and what must hold of one that was disturbed."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from headrace.api.artifacts import ModelVersion
from headrace.api.meta import Kind
from headrace.api.objects import TrainJob
from headrace.api.status import Phase, TrainJobStatus
from tests.whole.harness import Cli, World, wait_until
from tests.whole.manifests import EVERY_STEPS

START_SECONDS = 180
"""A busy machine takes a minute for what a quiet one does in ten seconds: importing torch in nine processes."""
TRAIN_SECONDS = 300


def job_status(world: World, name: str) -> TrainJobStatus | None:
    """The saved status of a TrainJob."""
    job = world.status(Kind.TRAIN_JOB, name)
    return job.status if isinstance(job, TrainJob) else None


def wait_for_checkpoint(world: World, name: str, cli: Cli) -> int:
    """The step of the newest checkpoint, once training has gone on after its second one."""

    def saved() -> int | None:
        status = job_status(world, name)
        if status is None or status.phase != Phase.RUNNING or status.checkpoint is None or status.progress is None:
            return None
        assert status.progress.total - status.progress.step > EVERY_STEPS, "too late to disturb it"
        return status.checkpoint.step if status.checkpoint.step >= 2 * EVERY_STEPS else None

    return wait_until(saved, START_SECONDS, lambda: cli.output)


def finished_model(world: World, name: str) -> ModelVersion:
    """What a complete job has made."""
    status = job_status(world, name)
    assert status and status.phase == Phase.COMPLETE and status.model, status
    return status.model


def resumed_from(world: World, name: str) -> list[int]:
    """The steps from which groups of workers started, in order, as the heads' logs tell."""
    told = re.findall(r"group \d+ of \d+ workers starts from step (\d+)", world.log_of(Kind.TRAIN_JOB, name))
    return [int(step) for step in told]


def weights_digest(model: ModelVersion) -> str:
    """SHA-256 of the published weights."""
    return hashlib.sha256((Path(urlsplit(model.uri).path) / "weights.safetensors").read_bytes()).hexdigest()


def assert_same_result(model: ModelVersion, undisturbed: ModelVersion) -> None:
    """The disturbance is not to be seen in what was learnt: the same metrics and weights, to the bit."""
    assert model.metrics == undisturbed.metrics
    assert weights_digest(model) == weights_digest(undisturbed)
