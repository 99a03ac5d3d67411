"""The queue before a model: shared batches, separate failures, a bound."""

import asyncio
import threading
from typing import Any

import pytest

from headrace_workers.serve.batching import WAITING_INSTANCES_MAX, Batcher, QueueFull


@pytest.mark.asyncio
async def test_requests_that_wait_are_answered_together_and_in_order() -> None:
    """While the model is busy others gather, and each request gets the answers to its own instances."""
    sizes = []
    gate = threading.Event()

    def predict(instances: list[Any]) -> list[dict[str, Any]]:
        sizes.append(len(instances))
        gate.wait(5)
        return [{"value": instance} for instance in instances]

    batcher = Batcher()
    batcher.begin(predict)
    async with batcher.working():
        first = asyncio.create_task(batcher.answer([0]))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.answer([n, -n])) for n in range(1, 4)]
        await asyncio.sleep(0.05)
        gate.set()
        assert await first == [{"value": 0}]
        assert await asyncio.gather(*others) == [[{"value": n}, {"value": -n}] for n in range(1, 4)]
    assert sizes == [1, 6]


@pytest.mark.asyncio
async def test_one_bad_request_does_not_fail_the_others() -> None:
    """A request that the model cannot answer fails alone, even when it shared a batch."""

    def predict(instances: list[Any]) -> list[dict[str, Any]]:
        if "bad" in instances:
            raise ValueError("bad")
        return [{"value": instance} for instance in instances]

    batcher = Batcher()
    batcher.begin(predict)
    tasks = [asyncio.create_task(batcher.answer([one])) for one in ("good", "bad", "fine")]
    await asyncio.sleep(0)
    async with batcher.working():
        good, bad, fine = await asyncio.gather(*tasks, return_exceptions=True)
    assert (good, fine) == ([{"value": "good"}], [{"value": "fine"}])
    assert isinstance(bad, ValueError)


@pytest.mark.asyncio
async def test_more_than_can_wait_is_refused() -> None:
    """A full queue refuses at once instead of growing."""
    batcher = Batcher()
    waiting = asyncio.create_task(batcher.answer([0] * WAITING_INSTANCES_MAX))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await batcher.answer([0])
    waiting.cancel()
