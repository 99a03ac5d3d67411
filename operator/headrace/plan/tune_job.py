"""What is special about a TuneJob's run: as many workers as trials at once, the best trial's model as the result."""

from typing import Any

from headrace.api.objects import TuneJob
from headrace.api.pods import Workers
from headrace.api.run_report import RunReport
from headrace.plan.dataset_input import find_input
from headrace.plan.run_kind import RunKind
from headrace.plan.train_job import model_result, publish_models


def _workers(job: TuneJob) -> Workers:
    spec = job.spec
    return Workers(min=1, max=min(spec.budget.parallel, spec.budget.trials), resources=spec.worker_resources)


def _payload(job: TuneJob) -> dict[str, Any]:
    return {"tune": job.spec}


def _shown(report: RunReport) -> dict[str, Any]:
    found = {"trials": report.trials, "best_trial": report.best_trial}
    return {name: value for name, value in found.items() if value is not None}


TUNE_JOB = RunKind(
    module="headrace_workers.tune",
    workers=_workers,
    pins={"input": find_input},
    publish=publish_models,
    payload=_payload,
    shown=_shown,
    result=model_result,
    stall_seconds=lambda spec: int(spec.stall_seconds),
)
