"""`headrace status`: how things stood when they were last saved, as a table, in detail, or as data."""

from datetime import UTC, datetime
from pathlib import Path

from headrace.cli.details import details
from headrace.cli.output import Output, dump
from headrace.cli.paper import paper
from headrace.cli.references import find_keys
from headrace.cli.state import is_worked_on, saved_objects
from headrace.cli.view import display_order, row, table
from headrace.cli.words import place


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
    now = datetime.now(UTC)
    if name is None:
        page.print(table([row(resource, now) for resource in found]))
    else:
        for line in (line for resource in found for line in details(resource, now)):
            page.print(line, soft_wrap=True)
    if not is_worked_on(state_dir):
        page.print("as last saved: no headrace command works on this state folder now", soft_wrap=True)
