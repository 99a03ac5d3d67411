"""`headrace delete`: objects go, and their pods with them; data is never touched."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.references import find_key
from headrace.cli.state import open_world, saved_objects
from headrace.cli.summary import places
from headrace.cli.view import shown_name
from headrace.cli.words import place


def delete(state_dir: Path, names: Sequence[str], *, everything: bool) -> None:
    """Deletes the objects named, or all; tells where their data stays."""
    if bool(names) == everything:
        raise Sentence("name the objects to delete, or write --all", REFUSED)
    known = [resource.key for resource in saved_objects(state_dir)]
    keys = known if everything else [find_key(name, known) for name in names]
    asyncio.run(_delete(state_dir, list(dict.fromkeys(keys))))


async def _delete(state_dir: Path, keys: Sequence[ObjectKey]) -> None:
    async with open_world(state_dir, "headrace delete") as world:
        for key in keys:
            resource = world.get(key)
            await world.delete(key)
            print(f"{key.kind} {shown_name(key)}: deleted" + (kept(resource) if resource else ""))


def kept(resource: HeadraceObject) -> str:
    """Where an object's data stays; empty where it made none."""
    if isinstance(resource, InferenceEndpoint):
        return ""
    found = [where for what, _, where in places([resource], {}) if what in ("dataset", "model")]
    found += [place(resource.status.storage)] if resource.status.storage else []
    return f"; its data stays in {' and '.join(found)}" if found else ""
