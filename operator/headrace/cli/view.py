"""What a person sees of objects while they run: rows, one line each in a pipe, one table on a terminal. Pure.

Nothing here prints; nothing here decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint, RunObject, TuneJob
from headrace.api.status import ACTIVE, FINISHED, DataPipelineStatus, EndpointPhase, Phase, RunStatus, TrainJobStatus
from headrace.cli.words import count, duration, measure, metrics_text, plural
from headrace.plan.conditions import holds

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

BAR_CELLS = 16
COLOURS: dict[str, str] = {
    Phase.COMPLETE: "green", Phase.FAILED: "red", Phase.RUNNING: "cyan", Phase.STARTING: "cyan", Phase.SUSPENDED: "yellow",
    EndpointPhase.READY: "green", EndpointPhase.PROGRESSING: "cyan", EndpointPhase.DEGRADED: "red",
}  # fmt: skip
KIND_ORDER = tuple(Kind)


@dataclass(frozen=True)
class Row:
    """One object in words."""

    kind: str
    name: str
    state: str
    stage: str = ""
    percent: int | None = None
    rate: str = ""
    left: str = ""
    metrics: str = ""
    pods: str = ""
    age: str = ""
    moving: bool = False
    """Whether it is being worked on, rather than waiting or done."""


def display_order(resource: HeadraceObject) -> tuple[int, str, str]:
    """Data first, then jobs, then endpoints; by name within a kind."""
    return KIND_ORDER.index(resource.key.kind), resource.key.namespace, resource.key.name


def shown_name(key: ObjectKey) -> str:
    """The object's name, with its namespace where that is not `default`."""
    return key.name if key.namespace == "default" else f"{key.namespace}/{key.name}"


def row(resource: HeadraceObject, now: datetime) -> Row:
    """The row of an object."""
    created = resource.metadata.creation_timestamp
    age = duration((now - created).total_seconds()) if created else ""
    if isinstance(resource, InferenceEndpoint):
        return _endpoint_row(resource, age)
    return _run_row(resource, age)


def _run_row(resource: RunObject, age: str) -> Row:
    status = resource.status
    progress = status.progress
    active = status.phase in ACTIVE
    percent = 100 if status.phase == Phase.COMPLETE else status.percent if active else None
    done = (
        f"{count(progress.step)} of {count(progress.total)} {progress.unit}"
        if progress and progress.total and active
        else ""
    )
    metrics = metrics_text(status.metrics)
    if isinstance(resource, TuneJob) and resource.status.best_trial:
        metrics = f"best {resource.spec.objective.metric} {measure(resource.status.best_trial.value)}"
    return Row(
        kind=str(resource.key.kind),
        name=shown_name(resource.key),
        state=str(status.phase),
        stage=", ".join(filter(None, (status.stage if active else "", done, _behind(status) if active else "")))
        or _waiting_for(resource),
        percent=percent,
        rate=f"{measure(progress.rate)} {progress.unit}/s" if progress and progress.rate and active else "",
        left=f"{duration(progress.eta_seconds)} left"
        if progress and progress.eta_seconds is not None and active
        else "",
        metrics=metrics,
        pods=_workers(status) if active and status.workers.desired else "",
        age=age,
        moving=active,
    )


def _behind(status: RunStatus) -> str:
    """How far a stream is behind its source, and what it has to tell."""
    stream = status.stream if isinstance(status, DataPipelineStatus) else None
    if stream is None or stream.lag is None:
        return ""
    behind = f"{count(stream.lag)} behind"
    return f"{behind}, alerting" if holds(status.conditions, "Alerting") else behind


def _workers(status: RunStatus) -> str:
    told = f"{status.workers.ready}/{status.workers.desired} workers"
    if isinstance(status, TrainJobStatus) and holds(status.conditions, "Straggling"):
        return f"{told}, {len(status.stragglers)} of them slow"
    return told


def _waiting_for(resource: RunObject) -> str:
    if resource.status.phase not in (Phase.PENDING, Phase.STARTING):
        return ""
    return next(
        (
            condition.message
            for condition in resource.status.conditions
            if condition.message and condition.type in ("Progressing", "Ready")
        ),
        "",
    )


def _endpoint_row(endpoint: InferenceEndpoint, age: str) -> Row:
    status = endpoint.status
    stage = status.url
    if status.rollout:
        stage = f"rollout of {status.rollout.candidate.name}, {status.rollout.weight} % of the traffic"
    elif status.phase != EndpointPhase.READY:
        ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
        stage = ready.message if ready else ""
    return Row(
        kind=str(endpoint.key.kind),
        name=shown_name(endpoint.key),
        state=str(status.phase),
        stage=stage,
        metrics=", ".join(f"{version.version} {version.weight} %" for version in status.versions),
        pods=plural(sum(version.ready for version in status.versions), "server") if status.versions else "",
        age=age,
        moving=status.phase in (EndpointPhase.STARTING, EndpointPhase.PROGRESSING, EndpointPhase.DEGRADED),
    )


def line(shown: Row) -> str:
    """A row as one line of plain text."""
    facts = (
        shown.stage,
        "" if shown.percent is None or shown.state in FINISHED else f"{shown.percent} %",
        shown.rate,
        shown.left,
        shown.metrics,
        shown.pods,
    )
    told = ", ".join(filter(None, facts))
    return f"{shown.kind} {shown.name}: {shown.state}" + (f": {told}" if told else "")


def table(rows: Sequence[Row]) -> "Table":
    """The rows as a table that is redrawn in place; a column in which nothing stands is left out."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns: dict[str, list[Text]] = {
        "object": [Text(f"{shown.kind} {shown.name}") for shown in rows],
        "state": [Text(shown.state, style=COLOURS.get(shown.state, "")) for shown in rows],
        "stage": [Text(shown.stage) for shown in rows],
        "progress": [bar(shown.percent) for shown in rows],
        "rate": [Text(shown.rate) for shown in rows],
        "left": [Text(shown.left.removesuffix(" left")) for shown in rows],
        "metrics": [Text(shown.metrics) for shown in rows],
        "pods": [Text(shown.pods) for shown in rows],
    }
    filled = {title: cells for title, cells in columns.items() if any(cell.plain for cell in cells)}
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in filled:
        drawn.add_column(title, overflow="fold", no_wrap=title in ("object", "progress"))
    for cells in zip(*filled.values(), strict=True):
        drawn.add_row(*cells)
    return drawn


def bar(percent: int | None) -> "Text":
    """A progress bar of fixed width with its figure; empty while nothing is known."""
    from rich.text import Text

    if percent is None:
        return Text("")
    full = round(percent / 100 * BAR_CELLS)
    return Text.assemble(("━" * full, "green"), ("━" * (BAR_CELLS - full), "bright_black"), f" {percent:3d} %")
