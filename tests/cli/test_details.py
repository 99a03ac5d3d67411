"""What `headrace status NAME` says about one object."""

from headrace.api.run_report import Tracked
from headrace.cli.details import details
from tests.gen import NOW, train_job

PAGE = "https://mlflow.example.com/#/experiments/1/runs/2"


def test_where_a_run_is_tracked() -> None:
    """The page, how many points are there, and how many are not."""
    job = train_job()
    tracking = (Tracked(tool="mlflow", address=PAGE, delivered=40), Tracked(tool="weightsAndBiases", undelivered=3))
    tracked = job.model_copy(update={"status": job.status.model_copy(update={"tracking": tracking})})
    lines = details(tracked, NOW)
    assert f"  mlflow: 40 points at {PAGE}" in lines
    assert "  weightsAndBiases: 0 points, 3 not delivered" in lines
