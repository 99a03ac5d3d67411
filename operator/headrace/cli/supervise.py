"""The loop of `headrace run`: wakes the queue, shows how things stand, and says when nothing more is to be waited for.

It never starts or stops a pod itself: that is the planner's decision, and the cluster's shutdown.
"""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum

from headrace.api.meta import ObjectKey
from headrace.cli.screen import Screen
from headrace.cli.standing import is_over, standing
from headrace.cli.view import display_order, row
from headrace.cli.world import World
from headrace.queue import Queue, Work

TICK_SECONDS = 0.2


class End(StrEnum):
    """Why the loop ended."""

    OVER = "Over"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"


async def supervise(
    world: World, given: Collection[ObjectKey], work: Work, screen: Screen, stop: asyncio.Event, *, until_ready: bool = False, timeout_seconds: float | None = None
) -> End:
    """Works on every object of the world until the given ones are settled, the time is over or `stop` is set."""
    looked_at: set[ObjectKey] = set()

    async def look_at(key: ObjectKey, now: datetime) -> float | None:
        pause = await work(key, now)
        looked_at.add(key)
        return pause

    queue = Queue(look_at)
    deadline = asyncio.get_running_loop().time() + timeout_seconds if timeout_seconds is not None else None
    tasks = [asyncio.create_task(queue.run()), asyncio.create_task(_wake(world, queue))]
    try:
        while not stop.is_set():
            _raise_failure(tasks)
            objects = {resource.key: resource for resource in world.objects()}
            screen.show([row(resource, datetime.now(UTC)) for resource in sorted(objects.values(), key=display_order)])
            # What the last session saved says nothing about now: an object counts once this session has looked at it.
            settled = looked_at.issuperset(given) and is_over((standing(objects[key], objects) for key in given if key in objects), until_ready=until_ready)
            if settled:
                return End.OVER
            if deadline is not None and asyncio.get_running_loop().time() >= deadline:
                return End.TIMED_OUT
            await _sleep_unless(stop)
        return End.STOPPED
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wake(world: World, queue: Queue) -> None:
    async for key in world.watch():
        queue.wake(key)


def _raise_failure(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


async def _sleep_unless(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), TICK_SECONDS)
    except TimeoutError:
        return
