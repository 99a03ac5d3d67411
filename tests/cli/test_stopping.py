"""The orderly end of everything, and the impatient way out."""

import asyncio
import time

from headrace.cli.stopping import stop_pods


def test_pods_end_within_their_grace(world):
    """Stopping waits for the pods, and says what it waits for."""
    world.running = {"head"}
    said = []
    asyncio.run(stop_pods(world, asyncio.Event(), said.append))
    assert world.running == set()
    assert said == ["stopping: workers checkpoint first… (Ctrl-C again kills at once)"]


def test_a_second_interrupt_kills_at_once(world):
    """Whoever presses Ctrl-C twice does not wait for a pod that hangs."""
    world.running, world.ends_on_request = {"head"}, False

    async def body():
        at_once = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, at_once.set)
        await stop_pods(world, at_once, lambda _: None)

    begun = time.monotonic()
    asyncio.run(body())
    assert world.running == set()
    assert time.monotonic() - begun < 2
