"""What a person sees of objects while they run."""

from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from headrace.api.run_report import BestTrial, Progress, Straggler
from headrace.api.status import EndpointPhase, Phase, VersionStatus, WorkersStatus
from headrace.cli.view import display_order, line, row, table

NOW = datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)


def _running(train):
    return train(
        phase=Phase.RUNNING,
        stage="epoch 3",
        percent=45,
        progress=Progress(step=450, total=1000, rate=120.0, eta_seconds=4.6),
        metrics={"loss": 0.3, "accuracy": 0.91},
        workers=WorkersStatus(desired=2, ready=2),
    )


def test_a_running_job_is_one_line_of_facts(train):
    """In a pipe a running job tells stage, steps, share, rate, time left, metrics and workers."""
    told = line(row(_running(train), NOW))
    assert (
        told
        == "TrainJob digits: Running: epoch 3, 450 of 1,000 steps, 45 %, 120.0 steps/s, 5 s left, accuracy 0.910, loss 0.300, 2/2 workers"
    )


def test_slow_workers_are_counted(train, condition):
    """While somebody straggles, behind the workers."""
    slow = (Straggler(pod="r1a1-worker-1", step_seconds=0.3, median_step_seconds=0.1),)
    workers = WorkersStatus(desired=3, ready=3)
    for conditions, told in (((condition("Straggling"),), "3/3 workers, 1 of them slow"), ((), "3/3 workers")):
        job = train(phase=Phase.RUNNING, workers=workers, stragglers=slow, conditions=conditions)
        assert row(job, NOW).pods == told


def test_a_table_has_no_colour_codes_in_a_pipe(train):
    """The same table is plain text where there is no terminal."""
    text = StringIO()
    Console(file=text, width=160, color_system=None).print(table([row(_running(train), NOW)]))
    assert "TrainJob digits" in text.getvalue()
    assert "━━━━━━━" in text.getvalue()
    assert " 45 %" in text.getvalue()
    assert "\x1b" not in text.getvalue()


def test_a_waiting_job_tells_what_it_waits_for(train, condition):
    """A pending job's line is the sentence of its condition."""
    waiting = train(
        conditions=(condition("Ready", "False", "WaitingForDataset", "waits for DataPipeline digits to finish"),)
    )
    assert line(row(waiting, NOW)) == "TrainJob digits: Pending: waits for DataPipeline digits to finish"


def test_a_complete_job_shows_its_metrics_and_no_rate(train):
    """What has finished has no rate, no time left and no pods."""
    shown = row(
        train(phase=Phase.COMPLETE, metrics={"accuracy": 0.978}, progress=Progress(step=9, total=9, rate=3.0)), NOW
    )
    assert (shown.percent, shown.rate, shown.left, shown.pods) == (100, "", "", "")
    assert line(shown) == "TrainJob digits: Complete: accuracy 0.978"


def test_an_interrupted_job_that_waits_shows_no_progress_bar(train):
    """A job between two attempts does not show the progress of the last one as if it ran."""
    assert row(train(phase=Phase.PENDING, percent=45), NOW).percent is None


def test_a_search_shows_its_best_trial(tune):
    """A TuneJob's metric is that of its best trial."""
    job = tune(phase=Phase.RUNNING, best_trial=BestTrial(number=3, value=0.95))
    assert row(job, NOW).metrics == "best accuracy 0.950"


def test_a_ready_endpoint_shows_address_and_traffic(endpoint):
    """An endpoint's line has its URL, each version's share and the servers."""
    ready = endpoint(
        phase=EndpointPhase.READY,
        url="http://127.0.0.1:8080/predict",
        versions=(VersionStatus(version="v1", weight=100, ready=2),),
    )
    assert (
        line(row(ready, NOW)) == "InferenceEndpoint digits: Ready: http://127.0.0.1:8080/predict, v1 100 %, 2 servers"
    )


def test_data_comes_before_jobs_before_endpoints(pipeline, train, endpoint):
    """Objects are shown in the order in which they work."""
    found = sorted([endpoint(), train(), pipeline("z")], key=display_order)
    assert [one.kind for one in found] == ["DataPipeline", "TrainJob", "InferenceEndpoint"]


def test_an_age_is_counted_from_the_creation(train):
    """A row's age is the time since the object was made."""
    job = train()
    assert row(job, job.metadata.creation_timestamp + timedelta(minutes=2)).age == "2 min 0 s"
