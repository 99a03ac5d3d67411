"""An orderly end of everything that runs in a state folder, with an impatient way out."""

import asyncio
from collections.abc import Callable

from headrace.cli.world import World

GRACE_SECONDS = 12.0
"""Long enough for a checkpoint of a model that fits a laptop, short enough to wait for."""
TOLD_EVERY_SECONDS = 4.5


async def stop_pods(world: World, at_once: asyncio.Event, say: Callable[[str], None]) -> None:
    """Has every pod checkpoint and end; kills what is left after the grace, or as soon as `at_once` is set."""
    say("stopping: workers checkpoint first… (Ctrl-C again kills at once)")
    ending = asyncio.create_task(world.shutdown(GRACE_SECONDS))
    hurry = asyncio.create_task(at_once.wait())
    try:
        while not ending.done() and not hurry.done():
            done, _ = await asyncio.wait(
                {ending, hurry}, timeout=TOLD_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                say("still stopping: at most a few seconds more")
        if ending.done():
            ending.result()
            return
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await world.shutdown(0.0)
    finally:
        hurry.cancel()
