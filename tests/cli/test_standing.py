"""When someone who waits for objects may stop waiting."""

from datetime import UTC, datetime

import pytest

from headrace.api.artifacts import StartingWeights
from headrace.api.status import EndpointPhase, Phase, RolloutRecord, RolloutStatus, Verdict
from headrace.cli.standing import Standing, is_over, standing

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _standing(resource, *others):
    return standing(resource, {one.key: one for one in (resource, *others)})


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.PENDING, Standing.WORKING),
        (Phase.RUNNING, Standing.WORKING),
        (Phase.SUSPENDING, Standing.WORKING),
        (Phase.SUSPENDED, Standing.SUSPENDED),
        (Phase.COMPLETE, Standing.DONE),
        (Phase.FAILED, Standing.FAILED),
    ],
)
def test_a_run_stands_where_its_phase_says(pipeline, phase, expected):
    """A run is worked on until its phase is Complete, Failed or Suspended."""
    assert _standing(pipeline(phase=phase)) == expected


@pytest.mark.parametrize(("ready", "expected"), [("True", Standing.SERVING), ("False", Standing.WORKING)])
def test_a_stream_that_does_what_it_should_is_not_waited_for(pipeline, condition, ready, expected):
    """It never ends: it stands like an endpoint that serves."""
    stream = pipeline(phase=Phase.RUNNING, conditions=(condition("Ready", ready),))
    assert _standing(stream) == expected


def test_what_happens_again_is_not_done(pipeline):
    """Its run is over, and another will start while somebody stays."""
    again = pipeline("digits", {"schedule": "0 3 * * *"}, phase=Phase.COMPLETE)
    assert _standing(again) == Standing.SERVING


def test_an_edit_that_was_not_looked_at_is_work(pipeline):
    """A Complete status of an older generation says nothing about the edit."""
    assert _standing(pipeline(phase=Phase.COMPLETE, observed_generation=0)) == Standing.WORKING


def test_a_job_behind_a_failed_pipeline_is_blocked(pipeline, train, condition):
    """A job that says Stalled because its pipeline failed is not waited for."""
    job = train(conditions=(condition("Stalled", reason="DatasetFailed"),))
    assert _standing(job, pipeline(phase=Phase.FAILED)) == Standing.BLOCKED


def test_a_job_behind_a_repaired_pipeline_is_work(pipeline, train, condition):
    """A job that still says Stalled is waited for once its pipeline runs again."""
    job = train(conditions=(condition("Stalled", reason="DatasetFailed"),))
    assert _standing(job, pipeline(phase=Phase.RUNNING)) == Standing.WORKING


def test_a_job_behind_a_suspended_pipeline_is_blocked(pipeline, train):
    """A job that waits for a suspended pipeline's data waits for a person."""
    assert _standing(train(), pipeline(phase=Phase.SUSPENDED)) == Standing.BLOCKED


FROM_JOB = {"model": {"from": {"job": "base"}}}
FROM_ENDPOINT = {"model": {"from": {"endpoint": "digits"}}}


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.RUNNING, Standing.WORKING),
        (Phase.COMPLETE, Standing.WORKING),
        (Phase.FAILED, Standing.BLOCKED),
        (Phase.SUSPENDED, Standing.BLOCKED),
    ],
)
def test_a_job_waits_for_weights_that_may_come(pipeline, train, phase, expected):
    """A job whose weights another job makes is waited for as long as that may make them."""
    tuned = train("tuned", FROM_JOB)
    assert _standing(tuned, pipeline(phase=Phase.COMPLETE), train("base", phase=phase)) == expected


def test_a_job_without_the_other_job_is_blocked(pipeline, train):
    """Unless it has pinned what that made, before it was deleted."""
    tuned = train("tuned", FROM_JOB)
    assert _standing(tuned, pipeline(phase=Phase.COMPLETE)) == Standing.BLOCKED
    pinned = train("tuned", FROM_JOB, started_from=StartingWeights(uri="file:///w"))
    assert _standing(pinned, pipeline(phase=Phase.COMPLETE)) == Standing.WORKING


def test_jobs_that_wait_for_each_other_are_blocked(pipeline, train, endpoint):
    """In a ring, be it through an endpoint, nobody ever starts."""
    one, two = train("base", {"model": {"from": {"job": "tuned"}}}), train("tuned", FROM_JOB)
    assert _standing(one, two, pipeline(phase=Phase.COMPLETE)) == Standing.BLOCKED
    tuned = train("tuned", FROM_ENDPOINT)
    assert _standing(tuned, pipeline(phase=Phase.COMPLETE), endpoint()) == Standing.BLOCKED


def test_an_endpoint_serves_once_the_newest_offer_is_stable(endpoint, train, model):
    """An endpoint that is Ready with the model its job offers serves."""
    ready = endpoint(phase=EndpointPhase.READY, stable=model())
    assert _standing(ready, train(phase=Phase.COMPLETE, model=model())) == Standing.SERVING


def test_an_endpoint_with_a_newer_offer_is_work(endpoint, train, model):
    """An endpoint that is Ready with an older model is waited for until the newer one has been judged."""
    ready = endpoint(phase=EndpointPhase.READY, stable=model())
    assert _standing(ready, train(phase=Phase.COMPLETE, model=model("digits-abcde-r2", day=3))) == Standing.WORKING


def test_a_rejected_offer_has_been_judged(endpoint, train, model):
    """An endpoint that turned the newer model down serves the older one."""
    record = RolloutRecord(version="digits-abcde-r2", verdict=Verdict.REJECTED, message="worse", time=NOW)
    ready = endpoint(phase=EndpointPhase.READY, stable=model(), history=(record,))
    assert _standing(ready, train(phase=Phase.COMPLETE, model=model("digits-abcde-r2", day=3))) == Standing.SERVING


def test_an_offer_older_than_the_stable_version_is_no_offer(endpoint, train, model):
    """A model that is older than the one that serves is never judged, and not waited for."""
    ready = endpoint(phase=EndpointPhase.READY, stable=model("digits-abcde-r2", day=3))
    assert _standing(ready, train(phase=Phase.COMPLETE, model=model())) == Standing.SERVING


def test_a_rollout_under_way_is_work(endpoint, train, model):
    """An endpoint is waited for while a rollout is under way."""
    rollout = RolloutStatus(candidate=model("digits-abcde-r2", day=3), start_time=NOW)
    ready = endpoint(phase=EndpointPhase.PROGRESSING, stable=model(), rollout=rollout)
    assert _standing(ready, train(phase=Phase.COMPLETE, model=model())) == Standing.WORKING


@pytest.mark.parametrize(("phase", "expected"), [(Phase.RUNNING, Standing.WORKING), (Phase.FAILED, Standing.BLOCKED)])
def test_an_endpoint_without_a_model_waits_for_its_jobs(endpoint, train, phase, expected):
    """An endpoint without a model is waited for exactly as long as a job may still make one."""
    assert _standing(endpoint(), train(phase=phase)) == expected


def test_an_endpoint_that_no_job_offers_to_is_blocked(endpoint):
    """An endpoint that no job names waits for a person."""
    assert _standing(endpoint()) == Standing.BLOCKED


@pytest.mark.parametrize(
    ("standings", "until_ready", "expected"),
    [
        ([Standing.DONE, Standing.FAILED, Standing.BLOCKED, Standing.SUSPENDED], False, True),
        ([Standing.DONE, Standing.WORKING], True, False),
        ([Standing.DONE, Standing.SERVING], False, False),
        ([Standing.DONE, Standing.SERVING], True, True),
    ],
)
def test_a_run_is_over_when_nothing_is_worked_on(standings, until_ready, expected):
    """A serving endpoint keeps a run alive unless it was only to become ready."""
    assert is_over(standings, until_ready=until_ready) == expected
