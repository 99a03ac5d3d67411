"""Manifests become objects of a state folder: all of them, or none where one edit is refused."""

import sys
from collections.abc import Sequence

from headrace.api.objects import HeadraceObject
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.words import plural
from headrace.cli.world import World


async def put_all(world: World, resources: Sequence[HeadraceObject]) -> list[tuple[HeadraceObject, str]]:
    """Each object as it now is, and whether it was created, configured or unchanged; Sentence for refused edits."""
    from headrace.local import Refused

    done: list[tuple[HeadraceObject, str]] = []
    refused: list[str] = []
    for resource in resources:
        try:
            change = await world.put(resource)
        except Refused as error:
            refused.append(str(error))
            continue
        current = world.get(resource.key)
        assert current is not None
        done.append((current, str(change)))
    if refused:
        print("\n".join(refused), file=sys.stderr)
        raise Sentence(f"{plural(len(refused), 'edit')} refused; nothing was run", REFUSED)
    return done
