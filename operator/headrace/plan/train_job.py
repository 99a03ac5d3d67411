"""What is special about a TrainJob's run: a pinned dataset, a model version as the result."""

from typing import Any

from headrace.api import environment
from headrace.api.run_report import RunReport
from headrace.api.train_job import TrainJobSpec
from headrace.plan.dataset_input import find_input
from headrace.plan.run_kind import RunKind
from headrace.plan.values import Observed


def publish_models(observed: Observed) -> str:
    """The folder in which a namespace's model versions appear."""
    return f"{observed.settings.storage_root.rstrip('/')}/{observed.object.metadata.namespace}/models"


def model_result(report: RunReport) -> dict[str, Any] | None:
    """The model version of a complete report."""
    return {"model": report.model} if report.model else None


def _payload(spec: TrainJobSpec) -> dict[str, Any]:
    return {"train": spec}


TRAIN_JOB = RunKind(
    module="headrace_workers.train",
    workers=lambda spec: spec.workers,
    find_input=find_input,
    publish=publish_models,
    payload=_payload,
    shown=lambda report: {"tracking": report.tracking or None},
    result=model_result,
    stall_seconds=lambda spec: int(spec.stall_seconds),
    variables={environment.RAY_RUNTIME_ENV: "1"},
    secrets=lambda spec: spec.tracking.secrets if spec.tracking else {},
)
