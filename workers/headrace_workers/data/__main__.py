"""The head of a DataPipeline's run: `python -m headrace_workers.data`."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from headrace.api.artifacts import DatasetVersion
from headrace.api.data_pipeline import DataPipelineSpec, Mode
from headrace.api.quantity import parse_quantity
from headrace.api.run_report import BatchProgress, Progress, Records, Replay, ReportPhase
from headrace_workers import ray_cluster
from headrace_workers.data import engine, sinks
from headrace_workers.data.sealed import seal_of
from headrace_workers.data.sink import Committed
from headrace_workers.data.spread import Spread, on_ray
from headrace_workers.data.stream.head import stream
from headrace_workers.data.stream.plan import planned as stream_plan
from headrace_workers.faults import RunFault
from headrace_workers.head import Head, run_head

ARTIFACTS = "artifacts"
REPLAY = "replay.json"
"""What became of repaired records, for a head that finds the commit made."""
JOIN_SECONDS = 300.0
TURN_SECONDS = 1.0


def body(head: Head) -> dict[str, Any]:
    """Runs the pipeline on the run's Ray workers and returns the final fields of the report."""
    spec = _pipeline(head)
    if spec.mode is Mode.STREAM:
        return _streamed(head, spec)
    sinks.require_supported(spec.sink)
    plan = engine.planned(spec)
    if found := sinks.find_commit(spec.sink, head.spec.publish, head.spec.identity, plan.key):
        return _finished(head, found)
    _form_group(head)
    return write(head, plan, on_ray(head.check_stopping, tasks_per_worker(spec)), partial(channels, spec))


def _streamed(head: Head, spec: DataPipelineSpec) -> dict[str, Any]:
    plan = stream_plan(spec)
    _form_group(head)
    return stream(head, spec, plan, tasks_per_worker(spec))


def _form_group(head: Head) -> None:
    ray_cluster.start_head(ray_cluster.HeadSettings.from_environment(os.environ))
    head.reporter.update(phase=ReportPhase.STARTING, reason="WaitingForWorkers", stage="waiting for workers")
    _wait_for_workers(head)


def write(head: Head, plan: engine.Plan, spread: Spread, channels: Callable[[], int] = lambda: 1) -> dict[str, Any]:
    """Prepares the records and commits them, as the run's only change to the table."""

    def tell(stage: str, progress: Progress, records: Records, batch: BatchProgress | None) -> None:
        head.check_stopping()
        head.reporter.update(
            phase=ReportPhase.RUNNING, reason="Running", stage=stage, progress=progress, records=records, batch=batch
        )

    seal = seal_of(head.pod.token) if plan.is_private else b""
    chosen, uri, identity = plan.spec.sink, head.spec.publish, head.spec.identity
    table = sinks.table_folder(chosen, uri, identity, plan.key)
    prepared = engine.prepare(plan, head.storage, spread, tell, seal, table, channels)
    # Before the commit: whoever sees the version must find what was fitted for it.
    prepared.preprocessing.save(head.storage.sub(ARTIFACTS))
    if prepared.replay:
        head.storage.write(REPLAY, prepared.replay.model_dump_json().encode())
    tell("commit", head.reporter.current.progress, prepared.records, head.reporter.current.batch)
    return _finished(head, sinks.commit(chosen, uri, identity, plan.key, prepared))


def tasks_per_worker(spec: DataPipelineSpec) -> int:
    """How many tasks a worker runs at a time: one for each whole core it asks for."""
    return max(1, int(parse_quantity(spec.workers.resources.cpu)))


def channels(spec: DataPipelineSpec) -> int:
    """How many tasks run at a time on the workers that are there."""
    return tasks_per_worker(spec) * len(ray_cluster.joined_workers())


def _pipeline(head: Head) -> DataPipelineSpec:
    if head.spec.pipeline is None:
        raise RunFault(
            "WrongRunSpec",
            f"the run of {head.spec.identity.name} holds no pipeline; its RunSpec must have the field pipeline",
        )
    return head.spec.pipeline


def _wait_for_workers(head: Head) -> None:
    """Waits in short turns, so that a pod asked to go does not wait for workers that may never come."""
    ends = time.monotonic() + JOIN_SECONDS
    while True:
        head.check_stopping()
        try:
            ray_cluster.wait_for_workers(
                head.spec.min_workers, TURN_SECONDS, lambda count: head.reporter.update(workers=count)
            )
        except TimeoutError as error:
            if time.monotonic() > ends:
                raise RunFault("WorkersMissing", f"{error}; waited {JOIN_SECONDS:g} s", retryable=True) from None
        else:
            return


def _finished(head: Head, committed: Committed) -> dict[str, Any]:
    engine.forget_pieces(head.storage)
    replay = Replay.model_validate_json(head.storage.read(REPLAY)) if head.storage.exists(REPLAY) else None
    version = DatasetVersion(
        uri=head.spec.publish,
        format=_pipeline(head).sink.chosen,
        version=committed.version,
        digest=committed.digest,
        records=sum(committed.splits.values()),
        splits=committed.splits,
        artifacts=head.storage.sub(ARTIFACTS).uri,
    )
    progress = Progress(step=committed.records.read, total=committed.records.read, unit="records")
    message = f"version {committed.version} has {version.records} records"
    return {
        "dataset": version,
        "records": committed.records,
        "replay": replay,
        "progress": progress,
        "stage": "committed",
        "message": message,
    }


if __name__ == "__main__":
    sys.exit(run_head(body))
