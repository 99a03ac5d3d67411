"""The tracking of a head: credentials leave the environment, the end of the attempt is told, the report says what arrived."""

import os
from pathlib import Path
from typing import Any

import pytest

from headrace.api.artifacts import JobReference, ModelVersion
from headrace.api.pods import SecretKey
from headrace.api.run_report import CurvePoint, Traffic
from headrace.api.run_spec import RunSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.head import Head
from headrace_workers.pod import Pod
from headrace_workers.report import Reporter
from headrace_workers.storage import Folder
from headrace_workers.train.tracking.tracking import Tracking, taken, tracked
from tests.gen import NOW
from tests.workers.train.digits import digits_version
from tests.workers.train.pods import run_spec
from tests.workers.train.tracking.fake_mlflow import FakeMlflow

SECRETS = {
    name: SecretKey(name=secret, key=name)
    for name, secret in (
        ("MLFLOW_TRACKING_TOKEN", "login"), ("MLFLOW_TRACKING_USERNAME", "login"), ("WANDB_API_KEY", "wandb"),
    )
}  # fmt: skip


def head_of(folder: Path, **spec: Any) -> Head:
    run = run_spec(folder, digits_version(folder), **spec)
    pod = Pod.from_environment({"HEADRACE_TERMINATION_LOG": str(folder / "end")})
    storage = Folder(run.storage)
    return Head(pod, run, storage, Reporter(pod, storage))


def begin(head: Head) -> Any:
    run: RunSpec = head.spec
    assert run.train and run.dataset
    return tracked(head, run.train, run.dataset)


def version(run: RunSpec) -> ModelVersion:
    assert run.dataset
    job = JobReference(kind=run.identity.kind, name="digits", uid=run.identity.uid, run=1)
    return ModelVersion(
        name="digits-r1", uri="file:///m", digest="sha256:m", metrics={"accuracy": 0.9}, dataset=run.dataset, job=job, created_at=NOW
    )  # fmt: skip


def mlflow(fake: FakeMlflow, **more: Any) -> dict[str, Any]:
    return {"tracking": {"mlflow": {"uri": fake.uri, "experiment": "digits", **more}}}


def history(fake: FakeMlflow, key: str) -> list[tuple[int, float]]:
    (run,) = fake.runs.values()
    return [(each["step"], each["value"]) for each in run["metrics"] if each["key"] == key]


def test_a_run_that_finishes(fake: FakeMlflow, tmp_path: Path) -> None:
    """Points with what they cost, events of the attempt, the model and its metrics at the last step, FINISHED."""
    head = head_of(tmp_path, **mlflow(fake))
    with begin(head) as tracking:
        tracking.earlier([CurvePoint(step=1, values={"trainLoss": 0.9})])
        tracking.event("2 workers start from step 1")
        tracking.point(10, {"trainLoss": 0.5}, Traffic(bytes_sent=7, bytes_uncompressed=28), workers=2)
        tracking.event("1 workers from step 12 on")
        tracking.published(version(head.spec))
    (run,) = fake.runs.values()
    assert run["info"]["status"] == "FINISHED"
    assert history(fake, "trainLoss") == [(1, 0.9), (10, 0.5)]
    assert (history(fake, "traffic.bytesSent"), history(fake, "workers")) == ([(10, 7.0)], [(10, 2)])
    assert history(fake, "final.accuracy") == [(10, 0.9)]
    assert run["tags"]["headrace.attempt.1"] == "2 workers start from step 1; 1 workers from step 12 on"
    assert run["tags"]["headrace.model.digest"] == "sha256:m"
    (report,) = head.reporter.current.tracking
    assert (report.tool, report.delivered, report.undelivered, report.problem) == ("mlflow", 3, 0, "")
    assert report.address.startswith(fake.uri)


@pytest.mark.parametrize(
    ("error", "status"),
    [(RunFault("ModelFailed", "no"), "FAILED"), (Interrupted(), "KILLED"), (ValueError("bug"), "FAILED")],
)
def test_a_run_that_ends_otherwise(fake: FakeMlflow, tmp_path: Path, error: Exception, status: str) -> None:
    """It is told how, and the error goes on."""
    with pytest.raises(type(error)), begin(head_of(tmp_path, **mlflow(fake))):
        raise error
    assert [run["info"]["status"] for run in fake.runs.values()] == [status]


def test_a_tracker_that_is_down_ends_nothing(fake: FakeMlflow, tmp_path: Path) -> None:
    """The body runs to its end; the report has the number of points and the reason."""
    fake.is_down = True
    head = head_of(tmp_path, **mlflow(fake))
    with begin(head) as tracking:
        tracking.point(1, {"trainLoss": 0.9})
    (report,) = head.reporter.current.tracking
    assert report.undelivered == 1 and "503" in report.problem


def test_credentials_leave_the_environment(
    fake: FakeMlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Before Ray starts; they are in no report, no log and none of what is told."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    fake.authorization = "Bearer t0ken"
    head = head_of(tmp_path, **mlflow(fake, credentials={"secret": "login"}))
    with begin(head):
        assert "MLFLOW_TRACKING_TOKEN" not in os.environ
    assert len(fake.runs) == 1
    assert not [
        text for text in (str(fake.runs), caplog.text, head.reporter.current.model_dump_json()) if "t0ken" in text
    ]


def test_a_secret_without_what_is_needed_ends_the_attempt_at_its_start() -> None:
    """It may come with the next attempt; one key of several is enough."""
    environ = {"MLFLOW_TRACKING_TOKEN": "t", "PATH": "/bin", "WANDB_API_KEY": ""}
    with pytest.raises(RunFault, match=r"the Secret wandb, .* has none of the keys WANDB_API_KEY") as fault:
        taken(environ, SECRETS)
    assert (fault.value.reason, fault.value.retryable) == ("SecretMissing", True)
    assert taken({"MLFLOW_TRACKING_TOKEN": "t", "WANDB_API_KEY": "w"}, SECRETS) == {
        "MLFLOW_TRACKING_TOKEN": "t",
        "WANDB_API_KEY": "w",
    }


def test_without_a_tracker_nothing_is_told() -> None:
    """Everything may be called."""
    tracking = Tracking()
    tracking.point(1, {"trainLoss": 1.0})
    tracking.event("something")
    tracking.resumed(1)
