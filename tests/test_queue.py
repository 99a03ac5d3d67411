"""The queue: one task a key, nothing missed, pauses that grow."""

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import datetime

import pytest

import headrace.queue
from headrace.api.meta import Kind, ObjectKey
from headrace.cluster import Conflict, Unavailable
from headrace.queue import LONGEST_REST_SECONDS, Queue, pause_seconds, rest_seconds

KEY = ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name="a")


async def worked(queue: Queue, until: asyncio.Event) -> None:
    """Runs the queue until the event."""
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(30):
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


async def test_the_pause_that_the_world_asks_for_is_kept() -> None:
    """Where it is longer than the queue's own."""
    begins: list[float] = []
    done = asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        begins.append(asyncio.get_running_loop().time())
        if len(begins) == 2:
            done.set()
            return None
        busy = Unavailable("too many requests")
        busy.retry_after_seconds = 0.3
        raise busy

    queue = Queue(work)
    queue.wake(KEY)
    await worked(queue, done)
    assert begins[1] - begins[0] >= 0.3


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


@pytest.mark.parametrize(
    ("looks", "took", "seconds"), [(1, 9.0, 0.0), (5, 9.0, 0.0), (6, 0.01, 0.02), (8, 0.01, 0.08), (6, 0.3, 0.3), (99, 0.01, 1.0)]
)  # fmt: skip
def test_rests_grow_and_are_bounded(looks: int, took: float, seconds: float) -> None:
    """Five looks are free; then the rest doubles, is no shorter than the look was, and never longer than a second."""
    assert rest_seconds(looks, took) == pytest.approx(seconds)


async def test_a_key_that_is_woken_all_the_time_is_looked_at_less_and_less() -> None:
    """A thousand events in half a second are a dozen looks, on a busy machine one more a second; the last event is seen."""
    seen, woken, done = [], 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        seen.append(woken)
        if woken == 1000:
            done.set()
        return None

    async def wake() -> None:
        nonlocal woken
        for _ in range(1000):
            woken += 1
            queue.wake(KEY)
            await asyncio.sleep(0.0005)

    queue = Queue(work)
    started = time.monotonic()
    waking = asyncio.create_task(wake())
    await worked(queue, done)
    await waking
    assert 6 <= len(seen) <= 15 + (time.monotonic() - started) / LONGEST_REST_SECONDS


async def test_the_longest_rest_is_no_lull(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is woken on and on rests longest from then on: its own rest does not make it a new one."""
    for name in ("LULL_SECONDS", "LONGEST_REST_SECONDS"):
        monkeypatch.setattr(headrace.queue, name, 0.1)
    looks, done = 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        nonlocal looks
        looks += 1
        return None

    async def wake() -> None:
        for _ in range(500):
            queue.wake(KEY)
            await asyncio.sleep(0.001)
        done.set()

    queue = Queue(work)
    started = time.monotonic()
    waking = asyncio.create_task(wake())
    await worked(queue, done)
    await waking
    assert looks <= 10 + (time.monotonic() - started) / 0.1


async def test_a_decision_is_followed_at_once() -> None:
    """What asks for another look now does not rest."""
    seen, done = 0, asyncio.Event()

    async def work(_key: ObjectKey, _now: datetime) -> float | None:
        nonlocal seen
        seen += 1
        if seen == 20:
            done.set()
        return 0.0

    queue = Queue(work)
    queue.wake(KEY)
    started = asyncio.get_running_loop().time()
    await worked(queue, done)
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_after_a_lull_a_key_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that nobody woke for a while is looked at at once again, and what is long past is forgotten."""
    monkeypatch.setattr("headrace.queue.LULL_SECONDS", 0.05)
    begins: list[float] = []
    done = asyncio.Event()

    async def work(key: ObjectKey, _now: datetime) -> float | None:
        begins.append(asyncio.get_running_loop().time())
        if len(begins) == 24:
            done.set()
        return None

    async def wake() -> None:
        for key in (KEY, replace(KEY, name="b"), KEY):
            for _ in range(8):
                queue.wake(key)
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.2)
        done.set()

    queue = Queue(work)
    waking = asyncio.create_task(wake())
    await worked(queue, done)
    await waking
    assert 18 <= len(begins) <= 24
    assert set(queue._looks) == {KEY}


async def test_a_key_that_can_wait_lets_others_go_first() -> None:
    """It comes after keys woken later, in its turn once its patience is over, and at once when it is woken for more."""
    keys = {name: replace(KEY, name=name) for name in "abcd"}
    patience, order, done = {keys["a"]: 60.0, keys["b"]: 0.02, keys["c"]: 60.0}, [], asyncio.Event()

    async def work(key: ObjectKey, _now: datetime) -> float | None:
        order.append(key.name)
        if len(order) == 4:
            done.set()
        return None

    queue = Queue(work, workers=1, patience=lambda key: patience.get(key, 0.0))
    for name in "abc":
        queue.wake(keys[name])
    patience[keys["c"]] = 0.0
    queue.wake(keys["c"])
    await asyncio.sleep(0.05)
    queue.wake(keys["d"])
    assert len(queue) == 4
    await worked(queue, done)
    assert order == ["c", "b", "d", "a"]
