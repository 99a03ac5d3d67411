"""The queue: one task a key, nothing missed, pauses that grow."""

import asyncio
import contextlib
from datetime import datetime

import pytest

from headrace.api.meta import Kind, ObjectKey
from headrace.cluster import Conflict
from headrace.queue import Queue, pause_seconds

KEY = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="a")


async def worked(queue: Queue, until: asyncio.Event) -> None:
    """Runs the queue until the event."""
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(5):
            await until.wait()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_key_is_worked_on_by_one_task_at_a_time() -> None:
    """A key woken while it is worked on is looked at once more afterwards, never beside."""
    active, most, seen, done = 0, 0, 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        nonlocal active, most, seen
        active, seen = active + 1, seen + 1
        most = max(most, active)
        if seen == 1:
            for _ in range(5):
                queue.wake(KEY)
        await asyncio.sleep(0.01)
        active -= 1
        if seen == 2:
            done.set()
        return None

    queue = Queue(work)
    queue.wake(KEY)
    await worked(queue, done)
    assert (most, seen) == (1, 2)


@pytest.mark.parametrize("error", [Conflict(), OSError("no route")])
async def test_a_failed_key_is_tried_again(error: Exception) -> None:
    """A conflict and an unreachable cluster both lead to another look after a pause."""
    seen, done = 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        nonlocal seen
        seen += 1
        if seen < 3:
            raise error
        done.set()
        return None

    queue = Queue(work)
    queue.wake(KEY)
    await worked(queue, done)
    assert seen == 3


async def test_a_key_that_asks_is_looked_at_again() -> None:
    """The seconds that the work returns lead to another look."""
    seen, done = 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        nonlocal seen
        seen += 1
        if seen == 3:
            done.set()
        return 0.01

    queue = Queue(work)
    queue.wake(KEY)
    await worked(queue, done)
    assert seen >= 3


async def test_an_earlier_wake_up_wins() -> None:
    """Of two wishes for the same key the earlier is kept."""
    done = asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        done.set()
        return None

    queue = Queue(work)
    queue.wake_after(KEY, 0.01)
    queue.wake_after(KEY, 60.0)
    await worked(queue, done)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.05), (2, 0.1), (30, 30.0), (10_000, 30.0)])
def test_pauses_are_bounded(failures: int, seconds: float) -> None:
    """The pause doubles and stops at half a minute."""
    assert pause_seconds(failures) == pytest.approx(seconds)


async def test_a_key_that_is_woken_all_the_time_rests_as_long_as_its_look_took() -> None:
    """Costly objects are looked at less often, and still soon."""
    begins: list[float] = []
    done = asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        begins.append(asyncio.get_running_loop().time())
        if len(begins) == 2:
            done.set()
            return None
        queue.wake(KEY)
        await asyncio.sleep(0.1)
        return None

    queue = Queue(work)
    queue.wake(KEY)
    await worked(queue, done)
    assert begins[1] - begins[0] >= 0.2
