"""The loop of `headrace run`: wakes the queue, shows how things stand, and says when nothing more is to be waited for.

It never starts or stops a pod itself: that is the planner's decision, and the cluster's shutdown.
"""

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from headrace.api.meta import ObjectKey
from headrace.cli.screen import Screen
from headrace.cli.standing import Standing, is_over, standing
from headrace.cli.view import display_order, row
from headrace.cli.world import World
from headrace.queue import Queue, Work

TICK_SECONDS = 0.2


class End(StrEnum):
    """Why the loop ended."""

    OVER = "Over"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"


@dataclass(frozen=True)
class Watch:
    """What is waited for, and for how long."""

    given: frozenset[ObjectKey]
    until_ready: bool = False
    timeout_seconds: float | None = None
    settled: Callable[[], None] = lambda: None
    """Called once, when nothing is worked on any more, also where endpoints go on serving."""


async def supervise(world: World, watch: Watch, work: Work, screen: Screen, stop: asyncio.Event) -> End:
    """Works on every object of the world until the given ones are settled, the time is over or `stop` is set."""
    looked_at: set[ObjectKey] = set()

    async def look_at(key: ObjectKey, now: datetime) -> float | None:
        pause = await work(key, now)
        looked_at.add(key)
        return pause

    queue = Queue(look_at)
    clock = asyncio.get_running_loop().time
    deadline = clock() + watch.timeout_seconds if watch.timeout_seconds is not None else math.inf
    tasks = [asyncio.create_task(queue.run()), asyncio.create_task(_wake(world, queue))]
    told = False
    try:
        while not stop.is_set():
            _raise_failure(tasks)
            objects = {resource.key: resource for resource in world.objects()}
            screen.show([row(resource, datetime.now(UTC)) for resource in sorted(objects.values(), key=display_order)])
            # What the last session saved says nothing about now: an object counts once this session has looked at it.
            standings = [
                standing(objects[key], objects) if key in looked_at else Standing.WORKING
                for key in watch.given
                if key in objects
            ]
            if not told and Standing.WORKING not in standings:
                told = True
                watch.settled()
            if is_over(standings, until_ready=watch.until_ready):
                return End.OVER
            if clock() >= deadline:
                return End.TIMED_OUT
            await sleep_unless(stop)
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


async def sleep_unless(stop: asyncio.Event) -> None:
    """Waits for the next tick, or until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), TICK_SECONDS)
    except TimeoutError:
        return
