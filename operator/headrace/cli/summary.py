"""How a run ended: what was made, and where it is. Pure; the caller prints.

Places are never folded into a table cell, so that they can be copied.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.api.meta import ObjectKey
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, TrainJob, TuneJob
from headrace.cli.results import result
from headrace.cli.view import COLOURS, shown_name
from headrace.cli.words import place

if TYPE_CHECKING:
    from rich.table import Table

LOSS_PLOT = "loss.png"


def outcome_table(resources: Sequence[HeadraceObject]) -> "Table":
    """Object, state and result, a row each."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("object", "state", "result"):
        drawn.add_column(title, no_wrap=title != "result", overflow="fold")
    for resource in resources:
        phase = resource.status.phase
        drawn.add_row(
            f"{resource.key.kind} {shown_name(resource.key)}",
            Text(phase, style=COLOURS.get(phase, "")),
            Text(result(resource)),
        )
    return drawn


def places(resources: Iterable[HeadraceObject], logs: Mapping[ObjectKey, Path]) -> list[tuple[str, str, str]]:
    """(what, whose, where) of all that was made, in the order of the resources."""
    found = []
    for resource in resources:
        name = shown_name(resource.key)
        found += [(what, name, where) for what, where in _made(resource)]
        if resource.key in logs:
            found.append(("log", name, place(logs[resource.key])))
    return found


def _made(resource: HeadraceObject) -> list[tuple[str, str]]:
    match resource:
        case DataPipeline() if resource.status.dataset:
            return [("dataset", f"{place(resource.status.dataset.uri)} (version {resource.status.dataset.version})")]
        case TrainJob() | TuneJob() if resource.status.model:
            folder = resource.status.model.uri.rstrip("/")
            return [("model", place(folder)), ("loss plot", place(f"{folder}/{LOSS_PLOT}"))]
        case InferenceEndpoint() if resource.status.url:
            return [("endpoint", resource.status.url)]
    return []


def place_lines(found: Sequence[tuple[str, str, str]]) -> list[str]:
    """The places as aligned lines."""
    if not found:
        return []
    widths = [max(len(entry[column]) for entry in found) for column in (0, 1)]
    return [f"{what:<{widths[0]}}  {name:<{widths[1]}}  {where}" for what, name, where in found]
