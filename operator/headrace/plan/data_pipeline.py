"""What is special about a DataPipeline's run: no input of ours, a table as the result."""

from typing import Any

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.objects import DataPipeline
from headrace.api.pods import SecretKey
from headrace.api.run_report import RunReport
from headrace.plan.run_kind import RunKind
from headrace.plan.values import Observed


def _publish(observed: Observed) -> str:
    resource = observed.object
    assert isinstance(resource, DataPipeline)
    own = resource.spec.sink.value.uri
    return str(
        own
        or f"{observed.settings.storage_root.rstrip('/')}/{resource.metadata.namespace}/datasets/{resource.metadata.name}"
    )


def _shown(report: RunReport) -> dict[str, Any]:
    return {"records": report.records} if report.records else {}


def _result(report: RunReport) -> dict[str, Any] | None:
    return {"dataset": report.dataset} if report.dataset else None


def _payload(pipeline: DataPipeline) -> dict[str, Any]:
    return {"pipeline": pipeline.spec}


def _worker_secrets(spec: DataPipelineSpec) -> dict[str, SecretKey]:
    return {key.variable: SecretKey(name=key.secret, key=key.id) for key in spec.keys}


DATA_PIPELINE = RunKind(
    module="headrace_workers.data",
    workers=lambda spec: spec.workers,
    pins={},
    publish=_publish,
    payload=_payload,
    shown=_shown,
    result=_result,
    stall_seconds=lambda _: None,
    worker_secrets=_worker_secrets,
)
