"""The same command again: what is finished stays finished, and an edit starts only what depends on it."""

from pathlib import Path

import pytest

from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline, InferenceEndpoint
from headrace.api.status import EndpointPhase
from tests.whole.conftest import SERVE_SECONDS, Reference
from tests.whole.harness import shims_of
from tests.whole.manifests import train_job
from tests.whole.moments import TRAIN_SECONDS, finished_model, job_status

SECONDS_TO_SAY_SO = 5.0


def test_what_is_finished_is_told_in_seconds_and_not_done_again(reference: Reference, served: tuple[Path, ...]) -> None:
    """The finished pipeline and job are said to be Complete already, keep their runs and files; the endpoint serves again."""
    world = reference.world
    world.stop()
    before = job_status(world, "digits")
    cli = world.start(*served)
    for name, nothing in (("DataPipeline digits", "nothing to prepare"), ("TrainJob digits", "nothing to train")):
        seconds = cli.wait_for(nothing, SECONDS_TO_SAY_SO)
        print(f"{name}: {nothing} after {seconds:.1f} s")
        assert seconds < SECONDS_TO_SAY_SO
    assert cli.end(SERVE_SECONDS) == 0, cli.output
    assert job_status(world, "digits") == before
    endpoint = world.status(Kind.INFERENCE_ENDPOINT, "digits")
    assert isinstance(endpoint, InferenceEndpoint) and endpoint.status.phase == EndpointPhase.READY
    assert endpoint.status.stable == reference.model
    assert len(shims_of(world.state_dir)) == 2, "a server and a router, no pod of a run"


@pytest.mark.slow
def test_an_edit_runs_again_only_what_depends_on_it(reference: Reference) -> None:
    """With other epochs the job gets run 2 and another model version; the pipeline stays at run 1."""
    world = reference.world
    job = world.write("edited", train_job("edited", epochs=1))
    world.run(reference.pipeline, job, seconds=TRAIN_SECONDS)
    first = finished_model(world, "edited")
    world.write("edited", train_job("edited", epochs=2))
    said = world.run(reference.pipeline, job, seconds=TRAIN_SECONDS)
    second, status = finished_model(world, "edited"), job_status(world, "edited")
    assert "nothing to prepare" in said and "TrainJob edited: configured" in said
    assert status and (status.run, status.attempt) == (2, 1)
    assert status.progress and status.progress.step == 2 * 23
    assert (first.name[-2:], second.name[-2:]) == ("r1", "r2") and first.digest != second.digest
    pipeline = world.status(Kind.DATA_PIPELINE, "digits")
    assert isinstance(pipeline, DataPipeline)
    assert pipeline.status.run == 1 and pipeline.status.dataset == reference.dataset
