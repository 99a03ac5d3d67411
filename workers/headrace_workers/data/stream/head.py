"""A Stream's run on the run's Ray workers, and its report."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psutil

from headrace.api.artifacts import DatasetVersion
from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.run_report import Progress, RaisedAlerts, ReportPhase, StreamProgress
from headrace_workers.data.alerts.webhooks import Webhooks, addresses
from headrace_workers.data.stream.epochs import Stream
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.data.stream.preparing import ARTIFACTS
from headrace_workers.data.stream.readers import RayReaders
from headrace_workers.faults import Interrupted
from headrace_workers.head import Head

MEMORY_SECONDS = 2.0
LAST_POSTS_SECONDS = 5.0


class Told:
    """Makes reports of a Stream; the memory of its processes is looked at now and then."""

    def __init__(self, head: Head, webhooks: Webhooks) -> None:
        """Tells the head's reporter."""
        self._head, self._webhooks = head, webhooks
        self._looked, self._memory = -MEMORY_SECONDS, 0

    def __call__(self, stream: Stream) -> None:
        """Tells how far the stream is."""
        reading = stream.stages()[0]
        state = stream.state
        self._head.reporter.update(
            phase=ReportPhase.RUNNING, reason="Running", stage="stream", message=stream.trouble[:1024],
            workers=stream.readers.workers, records=state.records, replay=stream.replay, dataset=self._dataset(stream),
            progress=Progress(step=state.records.read, unit="records", rate=reading.rate),
            stream=StreamProgress(
                lag=stream.lag, watermark=_time(state.watermark), commits=state.commits, files=stream.keeper.files,
                commit_time=datetime.fromisoformat(state.commit_time) if state.commit_time else None,
                memory_bytes=self._memory_bytes(), stages=stream.stages(),
            ),
            alerts=self._alerts(stream),
        )  # fmt: skip

    def _memory_bytes(self) -> int:
        if time.monotonic() - self._looked >= MEMORY_SECONDS:
            self._looked, self._memory = time.monotonic(), memory_bytes()
        return self._memory

    def _dataset(self, stream: Stream) -> DatasetVersion | None:
        if not stream.state.commits or stream.keeper.lake.version is None:
            return None
        splits = stream.state.splits
        return DatasetVersion(
            uri=self._head.spec.publish, version=stream.keeper.lake.version, digest=stream.keeper.digest, records=sum(splits.values()),
            splits=splits, artifacts=self._head.storage.sub(ARTIFACTS).uri,
        )  # fmt: skip

    def _alerts(self, stream: Stream) -> RaisedAlerts | None:
        if not stream.plan.spec.alerts:
            return None
        undelivered, problem = self._webhooks.undelivered
        return stream.state.alerts.model_copy(update={"undelivered": undelivered, "problem": problem})


def stream(head: Head, spec: DataPipelineSpec, plan: StreamPlan, readers_per_worker: int) -> dict[str, Any]:
    """Runs until it is asked to stop: raises Interrupted then, with all committed that was read."""
    identity = head.spec.identity
    readers = RayReaders(spec, readers_per_worker, head.check_stopping)
    webhooks = Webhooks(f"{identity.namespace}/{identity.name}", addresses(spec.alerts, os.environ))
    running = Stream(plan, identity, head.storage, head.spec.publish, readers, webhooks.tell)
    tell = Told(head, webhooks)
    tell(running)
    try:
        running.run(head.stopping, tell)
    finally:
        webhooks.close(LAST_POSTS_SECONDS)
    tell(running)
    raise Interrupted


def memory_bytes() -> int:
    """The resident set of this process and all that it started."""
    found = 0
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            found += process.memory_info().rss
    return found


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC)
