"""How many workers a Stream has: more while it falls behind its source, fewer once fewer would keep up.

What is not known changes nothing: a missing lag, an old report, workers that are still on their way.
"""

from datetime import datetime
from math import ceil

from headrace.api.data_pipeline import DataPipelineSpec, Mode
from headrace.api.objects import DataPipeline
from headrace.api.run_report import RunReport, StageRate
from headrace.api.status import DataPipelineStatus, Phase, RunStatus, StreamScale
from headrace.plan.run_progress import head_of
from headrace.plan.values import Observed

BEHIND_SECONDS = 10.0
"""A Stream that needs so long for what waits, at its rate, is behind."""
GROWTH = 1.5
GROW_PAUSE_SECONDS = 30
SHRINK_PAUSE_SECONDS = 300
BUSY = 0.6
"""Workers are taken away where those that are left would be busy for less of their time."""
FRESH_SECONDS = 30
"""A report that is older tells nothing."""


def is_stream(spec: DataPipelineSpec) -> bool:
    """Whether a pipeline never ends."""
    return spec.mode == Mode.STREAM


def scaled(observed: Observed, status: RunStatus, now: datetime) -> RunStatus:
    """The status with how many workers there should be."""
    pipeline = observed.object
    assert isinstance(pipeline, DataPipeline)
    assert isinstance(status, DataPipelineStatus)
    bounds = pipeline.spec.workers
    if not is_stream(pipeline.spec) or bounds.desired is not None or status.phase != Phase.RUNNING:
        return status
    chosen = status.scale
    current = min(max(chosen.workers, bounds.min), bounds.max) if chosen else bounds.min
    head = head_of(observed)
    wanted = _wanted(head.live if head else None, current, now)
    wanted = min(max(wanted, bounds.min), bounds.max)
    since = chosen.time if chosen else status.attempt_time or now
    pause = GROW_PAUSE_SECONDS if wanted > current else SHRINK_PAUSE_SECONDS
    if wanted == current or (now - since).total_seconds() < pause:
        return status
    return status.model_copy(update={"scale": StreamScale(workers=wanted, time=now)})


def _wanted(report: RunReport | None, current: int, now: datetime) -> int:
    """How many workers the last report asks for."""
    stream = report.stream if report else None
    if report is None or stream is None or stream.lag is None or report.workers != current:
        return current
    if (now - report.time).total_seconds() > FRESH_SECONDS or not stream.stages:
        return current
    reading = stream.stages[0]
    if stream.lag > BEHIND_SECONDS * reading.rate:
        return ceil(current * GROWTH)
    return current - 1 if stream.lag < reading.rate and _needed(reading) < BUSY * (current - 1) else current


def _needed(stage: StageRate) -> float:
    """How many workers would be busy all the time at the stage's rate; none where it has yet to work."""
    return stage.rate * stage.seconds / stage.records if stage.records else 0.0
