"""What the reports of running objects say, as gauges for Prometheus: stragglers, and how fast and how full pipelines are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from prometheus_client.core import Metric

from headrace.api.meta import ObjectKey
from headrace.plan.values import Raw
from headrace.telemetry import gauge

STAGE_GAUGES = {
    "records": ("headrace_stage_records", "Records that a stage of a pipeline has taken in, D."),
    "seconds": ("headrace_stage_work_seconds", "Seconds in which it worked, over all channels, T."),
    "rate": ("headrace_stage_rate", "Records a second over all channels, R."),
    "channels": ("headrace_stage_channels", "How many work at the same time, S."),
    "ratePerChannel": ("headrace_stage_rate_per_channel", "Records a second in each channel, R/S."),
    "queued": ("headrace_stage_queued_records", "Records that wait for it."),
}
WHOLE_GAUGES = {
    "memoryBytes": ("headrace_pipeline_memory_bytes", "Resident memory: of a Stream's head now, of a Batch's largest process so far."),
    "lag": ("headrace_stream_lag_messages", "Messages that a Stream has not read yet."),
}  # fmt: skip
OBJECT = ("namespace", "name")


def gauges_of_running(statuses: Iterable[tuple[ObjectKey, Raw]]) -> Iterator[Metric]:
    """The gauges of objects that run; what a status does not say has no value."""
    running: list[tuple[tuple[str, ...], Raw]] = [((key.namespace, key.name), status) for key, status in statuses]
    yield _gauge(
        "headrace_straggling_workers", "Workers of a TrainJob that hold its others up.", OBJECT, running,
        lambda status: {(): len(status["stragglers"])} if status.get("stragglers") else {},
    )  # fmt: skip
    yield _gauge(
        "headrace_pipeline_records", "Records of a pipeline by what became of them; read is all of them.", (*OBJECT, "outcome"),
        running, lambda status: {(outcome,): count for outcome, count in (status.get("records") or {}).items()},
    )  # fmt: skip
    for field, (name, text) in WHOLE_GAUGES.items():
        yield _gauge(name, text, OBJECT, running, partial(_whole, field))
    for field, (name, text) in STAGE_GAUGES.items():
        yield _gauge(name, text, (*OBJECT, "stage"), running, partial(_by_stage, field))


def _gauge(
    name: str, text: str, labels: tuple[str, ...], running: Sequence[tuple[tuple[str, ...], Raw]],
    read: Callable[[Raw], dict[tuple[str, ...], float]],
) -> Metric:  # fmt: skip
    values = {(*owner, *more): float(value) for owner, status in running for more, value in read(status).items()}
    return gauge(name, text, labels, values)


def _pipeline(status: Raw) -> Raw:
    return status.get("stream") or status.get("batch") or {}


def _whole(field: str, status: Raw) -> dict[tuple[str, ...], float]:
    value = _pipeline(status).get(field)
    return {} if value is None else {(): value}


def _by_stage(field: str, status: Raw) -> dict[tuple[str, ...], float]:
    return {(each["stage"],): each.get(field) or 0 for each in _pipeline(status).get("stages") or ()}
