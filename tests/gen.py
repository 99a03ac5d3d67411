"""Builders: objects and pods with sane defaults, of which a test names only what it varies."""

from datetime import UTC, datetime
from typing import Any

from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.meta import API_VERSION, Kind
from headrace.api.objects import DataPipeline, InferenceEndpoint, TrainJob, TuneJob
from headrace.api.run_report import ReportPhase, RunReport
from headrace.plan import labels
from headrace.plan.values import Pod, PodPhase

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _object(kind: Kind, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": str(kind),
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": spec,
    }


def pipeline(name: str = "digits", **spec: Any) -> DataPipeline:
    """A DataPipeline of the digits."""
    base = {"source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}}
    return DataPipeline.model_validate(_object(Kind.DATA_PIPELINE, name, base | spec))


def train_job(name: str = "train", **spec: Any) -> TrainJob:
    """A TrainJob of two workers on the pipeline `digits`."""
    base = {
        "dataset": {"pipeline": "digits"},
        "model": {"builtin": "Perceptron"},
        "epochs": 1,
        "workers": {"min": 2, "max": 2},
    }
    return TrainJob.model_validate(_object(Kind.TRAIN_JOB, name, base | spec))


def tune_job(name: str = "tune", **spec: Any) -> TuneJob:
    """A TuneJob of four trials, two at once."""
    base = {
        "objective": {"metric": "accuracy"},
        "search": [{"path": "optimizer.learningRate", "logUniform": {"low": 0.001, "high": 0.1}}],
        "budget": {"trials": 4, "parallel": 2},
        "template": {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1},
    }
    return TuneJob.model_validate(_object(Kind.TUNE_JOB, name, base | spec))


def endpoint(name: str = "digits", **spec: Any) -> InferenceEndpoint:
    """An InferenceEndpoint with a canary of two steps."""
    base = {
        "rollout": {
            "canary": {"steps": [{"weight": 20, "holdSeconds": 10}, {"weight": 50, "holdSeconds": 10}]},
            "offline": {"metric": "accuracy"},
            "online": {"minRequests": 10, "maxErrorRate": 0.1},
        }
    }
    return InferenceEndpoint.model_validate(_object(Kind.INFERENCE_ENDPOINT, name, base | spec))


def dataset(version: int = 0) -> DatasetVersion:
    """A finished dataset version."""
    return DatasetVersion(uri="file:///lake/digits", version=version, digest="d", records=100)


def model(
    name: str = "train-1", accuracy: float = 0.9, created: datetime = NOW, data: DatasetVersion | None = None
) -> ModelVersion:
    """A finished model version."""
    job = JobReference(kind=Kind.TRAIN_JOB, name="train", uid="uid-train", run=1)
    return ModelVersion(
        name=name, uri=f"file:///models/{name}", digest="m", metrics={"accuracy": accuracy},
        dataset=data or dataset(), job=job, created_at=created,
    )  # fmt: skip


def report(phase: ReportPhase = ReportPhase.RUNNING, **fields: Any) -> RunReport:
    """A report of now."""
    return RunReport(phase=phase, time=fields.pop("time", NOW), **fields)


def pod(
    role: str = labels.WORKER,
    index: int = 0,
    run: int = 1,
    attempt: int = 1,
    phase: PodPhase = PodPhase.RUNNING,
    **fields: Any,
) -> Pod:
    """A pod of a run."""
    own = {labels.ROLE: role, labels.RUN: str(run), labels.ATTEMPT: str(attempt)}
    own |= {labels.INDEX: str(index)} if role == labels.WORKER else {}
    place = role if role == labels.HEAD else f"{role}-{index}"
    return Pod(
        **(
            {"name": f"r{run}a{attempt}-{place}", "uid": f"pod-r{run}a{attempt}-{place}", "phase": phase, "labels": own}
            | fields
        )
    )
