"""`headrace status` on a cluster: the objects of a namespace as the API server has them."""

import asyncio
from datetime import UTC, datetime

from headrace.cli.on_cluster.objects import Found, fetch, nothing_here, readable
from headrace.cli.on_cluster.session import open_session
from headrace.cli.output import Output, dump
from headrace.cli.paper import paper
from headrace.cli.references import find_keys
from headrace.cli.status import write_status
from headrace.cli.target import Target
from headrace.cli.view import display_order
from headrace.plan.values import Raw


def show_status(target: Target, name: str | None, output: Output | None) -> None:
    """Prints one object or all of the namespace."""
    asyncio.run(_show_status(target, name, output))


async def _show_status(target: Target, name: str | None, output: Output | None) -> None:
    async with open_session(target) as session:
        found = await fetch(session, [session.namespace])
        empty = "" if found else await nothing_here(session)
    if name is not None:
        keys = find_keys(name, [one.key for one in found], empty)
        found = [one for one in found if one.key in keys]
    if output is not None:
        print(dump([as_shown(one) for one in found], output, single=name is not None), end="")
    elif not found:
        print(empty)
    else:
        objects = sorted(readable(found, tell=True), key=display_order)
        write_status(paper(), objects, datetime.now(UTC), whole=name is not None)


def as_shown(found: Found) -> Raw:
    """The API's object without who manages which of its fields, as kubectl shows it."""
    metadata = {name: value for name, value in found.raw["metadata"].items() if name != "managedFields"}
    first = {"apiVersion": found.raw["apiVersion"], "kind": found.raw["kind"], "metadata": metadata}
    return first | {name: value for name, value in found.raw.items() if name not in first}
