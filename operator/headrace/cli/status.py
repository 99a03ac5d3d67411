"""`headrace status`: how things stood when they were last saved, as a table, in detail, or as data."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.api.objects import HeadraceObject
from headrace.cli.details import details
from headrace.cli.output import Output, dump
from headrace.cli.paper import paper
from headrace.cli.references import find_keys
from headrace.cli.state import is_worked_on, saved_objects
from headrace.cli.view import display_order, row, table
from headrace.cli.words import place

if TYPE_CHECKING:
    from rich.console import Console


def show_status(state_dir: Path, name: str | None, output: Output | None) -> None:
    """Prints one object or all."""
    found = sorted(saved_objects(state_dir), key=display_order)
    if name is not None:
        keys = find_keys(name, [resource.key for resource in found])
        found = [resource for resource in found if resource.key in keys]
    if output is not None:
        print(dump([resource.wire() for resource in found], output, single=name is not None), end="")
        return
    if not found:
        print(f"nothing is in {place(state_dir.absolute())} yet; `headrace run FILE` starts something")
        return
    page = paper()
    write_status(page, found, datetime.now(UTC), whole=name is not None)
    if not is_worked_on(state_dir):
        page.print("as last saved: no headrace command works on this state folder now", soft_wrap=True)


def write_status(page: "Console", found: Sequence[HeadraceObject], now: datetime, *, whole: bool) -> None:
    """Writes a row an object, or everything about each."""
    if not whole:
        page.print(table([row(resource, now) for resource in found]))
        return
    for line in (line for resource in found for line in details(resource, now)):
        page.print(line, soft_wrap=True)
