"""Everything about one object that a person may ask after: progress, conditions, incidents, lineage. Pure: lines of text."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.meta import Condition
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, RunObject, TrainJob, TuneJob
from headrace.api.run_report import StageRate, Tracked, Traffic
from headrace.api.status import Incident
from headrace.cli.results import result
from headrace.cli.view import line, row
from headrace.cli.words import count, duration, measure, metrics_text, place


def details(resource: HeadraceObject, now: datetime) -> list[str]:
    """The lines about an object."""
    lines = [line(row(resource, now))]
    if made := result(resource):
        lines.append(f"  result: {made}")
    if isinstance(resource, InferenceEndpoint):
        lines += _endpoint(resource, now)
    else:
        lines += _run(resource, now)
    lines += _section("conditions", _conditions(resource.status.conditions, now))
    if isinstance(resource, RunObject):
        lines += _section("incidents", _incidents(resource.status.incidents, now))
    return [*lines, *_section("lineage", lineage(resource)), ""]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"  {title}:", *(f"    {text}" for text in lines)] if lines else []


def _run(resource: RunObject, now: datetime) -> list[str]:
    status = resource.status
    lines = [
        f"  run {status.run}, attempt {status.attempt}; {status.restarts} restarts, {status.disruptions} disruptions"
    ]
    if status.start_time:
        end = status.completion_time or now
        lines.append(
            f"  started {duration((now - status.start_time).total_seconds())} ago, lasted {duration((end - status.start_time).total_seconds())}"
        )
    if status.checkpoint:
        lines.append(f"  checkpoint: step {count(status.checkpoint.step)} in {place(status.checkpoint.uri)}")
    if status.traffic and status.traffic.bytes_uncompressed:
        sent, whole = status.traffic.bytes_sent, status.traffic.bytes_uncompressed
        way = f"; now as {status.traffic.method}" if status.traffic.method else ""
        lines.append(f"  sent by a worker: {sent / 1e6:.1f} MB, {whole / 1e6:.1f} MB uncompressed{way}")
        lines.append(f"  encoding: {status.traffic.encoding_seconds:.1f} s{_residual(status.traffic)}")
    if isinstance(resource, DataPipeline):
        lines += _batch(resource) + _stream(resource, now)
    if isinstance(resource, TuneJob):
        lines += _search(resource)
    if isinstance(resource, TrainJob):
        lines += [_tracked(one) for one in resource.status.tracking or ()]
    if status.storage:
        lines.append(f"  storage: {place(status.storage)}")
    return lines


def _residual(traffic: Traffic) -> str:
    return f"; norm of the residual {traffic.residual_norm:.3g}" if traffic.residual_norm is not None else ""


def _tracked(one: Tracked) -> str:
    lacks = f", {one.undelivered} not delivered" if one.undelivered else ""
    where = f" at {one.address}" if one.address else ""
    return f"  {one.tool}: {one.delivered} points{lacks}{where}"


def _batch(pipeline: DataPipeline) -> list[str]:
    batch = pipeline.status.batch
    if not batch:
        return []
    return [f"  memory: at most {batch.memory_bytes / 1e6:.0f} MB in a process", *map(_stage, batch.stages)]


def _stage(each: StageRate) -> str:
    waiting = f", {count(each.queued)} waiting" if each.queued else ""
    return (
        f"    {each.stage}: {count(each.records)} records in {each.seconds:.1f} s of work, {measure(each.rate)}/s on "
        f"{each.channels} channels{waiting}"
    )


def _stream(pipeline: DataPipeline, now: datetime) -> list[str]:
    stream, alerts = pipeline.status.stream, pipeline.status.alerts
    lines = []
    if stream:
        lag = "an unknown number of" if stream.lag is None else count(stream.lag)
        passed = f", watermark {_ago(stream.watermark, now)}" if stream.watermark else ""
        lines.append(f"  stream: {lag} messages behind{passed}; {count(stream.commits)} commits, {stream.files} files")
        lines += map(_stage, stream.stages)
    if alerts:
        lost = f", {alerts.undelivered} posts to webhooks given up: {alerts.problem}" if alerts.undelivered else ""
        lines.append(f"  alerts: {count(alerts.count)}{lost}")
        lines += [f"    {each.alert}: {each.message} ({_ago(each.time, now)})" for each in alerts.last]
    return lines


def _search(job: TuneJob) -> list[str]:
    trials, best = job.status.trials, job.status.best_trial
    lines = []
    if trials:
        lines.append(
            f"  trials: {trials.complete} complete, {trials.pruned} stopped early, {trials.failed} failed, {trials.running} running"
        )
    if best:
        chosen = ", ".join(f"{path} {best.parameters[path]}" for path in sorted(best.parameters))
        lines.append(
            f"  best trial: {best.number}, {job.spec.objective.metric} {measure(best.value)}"
            + (f" with {chosen}" if chosen else "")
        )
    return lines


def _endpoint(endpoint: InferenceEndpoint, now: datetime) -> list[str]:
    status = endpoint.status
    lines = [
        f"  {version.version}: {version.weight} % of the traffic, {version.ready} servers ready"
        for version in status.versions
    ]
    if status.url:
        lines.append(f"  url: {status.url}")
    records = [
        f"{record.version}: {record.verdict}, {record.message} ({_ago(record.time, now)})" for record in status.history
    ]
    return lines + _section("rollouts", records)


def _conditions(conditions: Iterable[Condition], now: datetime) -> list[str]:
    return [
        f"{one.type}={one.status} {one.reason}: {one.message} ({_ago(one.last_transition_time, now)})"
        for one in conditions
    ]


def _incidents(incidents: Iterable[Incident], now: datetime) -> list[str]:
    return [f"attempt {one.attempt}: {one.reason}: {one.message} ({_ago(one.time, now)})" for one in incidents]


def _ago(moment: datetime, now: datetime) -> str:
    return f"{duration(max((now - moment).total_seconds(), 0.0))} ago"


def lineage(resource: HeadraceObject) -> list[str]:
    """Where what the object made came from: model, job, trial, dataset, code."""
    match resource:
        case DataPipeline():
            return _dataset(resource.status.dataset)
        case InferenceEndpoint():
            return _model(resource.status.stable)
        case _:
            return _model(resource.status.model) or _dataset(resource.status.input)


def _model(model: ModelVersion | None) -> list[str]:
    if model is None:
        return []
    trial = f", trial {model.trial}" if model.trial is not None else ""
    lines = [
        f"model {model.name} ({model.digest}) in {place(model.uri)}: {metrics_text(model.metrics)} on {model.split}",
        f"made by {model.job.kind} {model.job.name}, run {model.job.run}{trial} (uid {model.job.uid})",
    ]
    if model.code_digest:
        lines.append(f"code {model.code_digest}")
    if start := model.started_from:
        lines.append(
            f"started from {f'model {start.name}' if start.name else 'weights'} ({start.digest}) in {place(start.uri)}"
        )
    return lines + _dataset(model.dataset)


def _dataset(dataset: DatasetVersion | None) -> list[str]:
    if dataset is None:
        return []
    digest = f" ({dataset.digest})" if dataset.digest else ""
    return [f"dataset version {dataset.version}{digest} in {place(dataset.uri)}: {count(dataset.records)} records"]
