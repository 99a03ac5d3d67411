"""What `headrace status NAME` says about one object."""

from datetime import timedelta

from headrace.api.run_report import BatchProgress, RaisedAlert, RaisedAlerts, StageRate, StreamProgress, Tracked
from headrace.cli.details import details
from tests.gen import NOW, pipeline, train_job

PAGE = "https://mlflow.example.com/#/experiments/1/runs/2"


def test_where_a_run_is_tracked() -> None:
    """The page, how many points are there, and how many are not."""
    job = train_job()
    tracking = (Tracked(tool="mlflow", address=PAGE, delivered=40), Tracked(tool="weightsAndBiases", undelivered=3))
    tracked = job.model_copy(update={"status": job.status.model_copy(update={"tracking": tracking})})
    lines = details(tracked, NOW)
    assert f"  mlflow: 40 points at {PAGE}" in lines
    assert "  weightsAndBiases: 0 points, 3 not delivered" in lines


def test_how_fast_a_batch_was() -> None:
    """Each stage, and the most memory of a process; nothing waits for a stage that is done."""
    stage = StageRate(stage="read", records=5000, seconds=2.5, rate=1200.0, channels=2)
    batch = BatchProgress(memory_bytes=312_000_000, stages=(stage,))
    done = pipeline()
    lines = details(done.model_copy(update={"status": done.status.model_copy(update={"batch": batch})}), NOW)
    start = lines.index("  memory: at most 312 MB in a process")
    assert lines[start + 1] == "    read: 5,000 records in 2.5 s of work, 1,200/s on 2 channels"


def test_how_far_a_stream_is() -> None:
    """Behind its source, behind time, how fast each stage is, and what it raised last."""
    before = NOW - timedelta(seconds=90)
    stage = StageRate(stage="read", records=5000, seconds=2.5, rate=1200.0, channels=2, queued=7)
    told = {
        "stream": StreamProgress(lag=1234, watermark=before, commits=9, files=4, stages=(stage,)),
        "alerts": RaisedAlerts(
            count=2,
            last=(RaisedAlert(alert="hot", id="w", time=before, message="mean 31"),),
            undelivered=1,
            problem="no",
        ),
    }
    stream = pipeline()
    lines = details(stream.model_copy(update={"status": stream.status.model_copy(update=told)}), NOW)
    start = lines.index("  stream: 1,234 messages behind, watermark 1 min 30 s ago; 9 commits, 4 files")
    assert lines[start + 1 : start + 4] == [
        "    read: 5,000 records in 2.5 s of work, 1,200/s on 2 channels, 7 waiting",
        "  alerts: 2, 1 posts to webhooks given up: no",
        "    hot: mean 31 (1 min 30 s ago)",
    ]
