"""What is special about a TrainJob's run: a pinned dataset, pinned weights to start with, a model version as the result."""

from typing import Any

from headrace.api import environment
from headrace.api.objects import TrainJob
from headrace.api.run_report import RunReport
from headrace.plan.dataset_input import find_input
from headrace.plan.run_kind import RunKind
from headrace.plan.starting_weights import find_weights
from headrace.plan.values import Observed


def publish_models(observed: Observed) -> str:
    """The folder in which a namespace's model versions appear."""
    return f"{observed.settings.storage_root.rstrip('/')}/{observed.object.metadata.namespace}/models"


def model_result(report: RunReport) -> dict[str, Any] | None:
    """The model version of a complete report."""
    return {"model": report.model} if report.model else None


def _payload(job: TrainJob) -> dict[str, Any]:
    return {"train": job.spec, "started_from": job.status.started_from}


def _shown(report: RunReport) -> dict[str, Any]:
    # A head that has yet to start its workers does not know of earlier roll-backs.
    undone = {"roll_backs": report.roll_backs, "rolled_back": report.rolled_back} if report.roll_backs else {}
    return {"stragglers": report.stragglers, "tracking": report.tracking or None, **undone}


TRAIN_JOB = RunKind(
    module="headrace_workers.train",
    workers=lambda job: job.spec.workers,
    pins={"input": find_input, "started_from": find_weights},
    publish=publish_models,
    payload=_payload,
    shown=_shown,
    result=model_result,
    stall_seconds=lambda spec: int(spec.stall_seconds),
    variables={environment.RAY_RUNTIME_ENV: "1"},
    head_secrets=lambda spec: spec.tracking.secrets if spec.tracking else {},
)
