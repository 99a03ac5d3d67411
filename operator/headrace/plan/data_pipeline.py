"""What is special about a DataPipeline's run: no input of ours, a table as the result; a Stream has none, and grows one."""

from typing import Any

from headrace.api import environment
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.objects import DataPipeline
from headrace.api.pods import SecretKey, Workers
from headrace.api.run_report import RunReport
from headrace.plan.run_kind import RunKind
from headrace.plan.stream_scale import is_stream, scaled
from headrace.plan.values import Observed


def _publish(observed: Observed) -> str:
    resource = observed.object
    assert isinstance(resource, DataPipeline)
    own = resource.spec.sink.value.uri
    return str(
        own
        or f"{observed.settings.storage_root.rstrip('/')}/{resource.metadata.namespace}/datasets/{resource.metadata.name}"
    )


def _workers(pipeline: DataPipeline) -> Workers:
    spec, chosen = pipeline.spec, pipeline.status.scale
    if not is_stream(spec) or spec.workers.desired is not None:
        return spec.workers
    wanted = min(max(chosen.workers, spec.workers.min), spec.workers.max) if chosen else spec.workers.min
    return spec.workers.model_copy(update={"desired": wanted})


def _shown(report: RunReport) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(report, name) for name in ("records", "replay", "batch", "stream", "alerts")}
    if report.stream:
        found["dataset"] = report.dataset
    return {name: value for name, value in found.items() if value is not None}


def _result(report: RunReport) -> dict[str, Any] | None:
    return {"dataset": report.dataset} if report.dataset else None


def _payload(pipeline: DataPipeline) -> dict[str, Any]:
    return {"pipeline": pipeline.spec}


def _source_secrets(spec: DataPipelineSpec) -> dict[str, SecretKey]:
    kafka, sql = spec.source.kafka, spec.source.sql
    if sql:
        return {environment.SQL_URL: sql.url}
    return {environment.KAFKA_PASSWORD: kafka.password} if kafka and kafka.password else {}


def _head_secrets(spec: DataPipelineSpec) -> dict[str, SecretKey]:
    webhooks = {
        environment.webhook_variable(place): alert.webhook.secret
        for place, alert in enumerate(spec.alerts)
        if alert.webhook and alert.webhook.secret
    }
    return _source_secrets(spec) | webhooks


def _worker_secrets(spec: DataPipelineSpec) -> dict[str, SecretKey]:
    return _source_secrets(spec) | {key.variable: SecretKey(name=key.secret, key=key.id) for key in spec.keys}


DATA_PIPELINE = RunKind(
    module="headrace_workers.data",
    workers=_workers,
    pins={},
    publish=_publish,
    payload=_payload,
    shown=_shown,
    result=_result,
    stall_seconds=lambda _: None,
    is_endless=is_stream,
    scaled=scaled,
    head_secrets=_head_secrets,
    worker_secrets=_worker_secrets,
)
