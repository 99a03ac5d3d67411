"""`headrace delete` on a cluster: the API server deletes the objects and what they own; data is never touched."""

import asyncio
from collections.abc import Sequence

from headrace.cli.delete import kept
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.on_cluster.objects import Found, fetch, nothing_here
from headrace.cli.on_cluster.session import Session, open_session
from headrace.cli.references import find_key
from headrace.cli.target import Target
from headrace.cli.view import shown_name


def delete(target: Target, names: Sequence[str], *, everything: bool) -> None:
    """Deletes the objects named, or all of a namespace that is written out; tells where their data stays."""
    if bool(names) == everything:
        raise Sentence("name the objects to delete, or write --all", REFUSED)
    if everything and target.namespace is None:
        raise Sentence("--all on a cluster needs the namespace written out: -n NAMESPACE", REFUSED)
    asyncio.run(_delete(target, names))


async def _delete(target: Target, names: Sequence[str]) -> None:
    async with open_session(target) as session:
        found = {one.key: one for one in await fetch(session, [session.namespace])}
        empty = "" if found else await nothing_here(session)
        if not names and not found:
            print(empty)
        for key in dict.fromkeys(find_key(name, list(found), empty) for name in names) if names else found:
            print(f"{key.kind} {shown_name(key)}: {await _delete_one(session, found[key])}")


async def _delete_one(session: Session, one: Found) -> str:
    from headrace.kube.client import NotFound, Stale
    from headrace.kube.resources import BY_KIND

    metadata = one.raw["metadata"]
    path = BY_KIND[one.raw["kind"]].path(metadata["namespace"], metadata["name"])
    try:
        left = await session.api.delete(path, metadata["uid"])
    except NotFound:
        return "was gone already"
    except Stale:
        return "was made anew meanwhile and is left alone; delete it again if the new one is meant"
    held = left.get("metadata", {}).get("finalizers")
    change = f"will be deleted once {', '.join(held)} let go" if held else "deleted"
    return change + (kept(one.object) if one.object else "")
