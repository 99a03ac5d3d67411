"""Requests that wait while the model is busy are answered together: the model works in one thread, the loop stays live.

A request never waits for others to come; it shares a batch only with those that came while the last one was worked on.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

BATCH_INSTANCES = 256
"""Instances that are worked on together, unless a single request has more."""
WAITING_INSTANCES_MAX = 4096

Predict = Callable[[list[Any]], list[dict[str, Any]]]
Waiting = tuple[list[Any], asyncio.Future[list[dict[str, Any]]]]


class QueueFull(Exception):
    """More is waiting than the model could answer soon."""


class Batcher:
    """The queue before one model."""

    def __init__(self) -> None:
        """Starts without a model."""
        self._predict: Predict | None = None
        self._waiting: deque[Waiting] = deque()
        self._instances_waiting = 0
        self._arrived = asyncio.Event()

    def begin(self, predict: Predict) -> None:
        """From here on instances are answered; `predict` answers a list of them, in order, in a thread of its own."""
        self._predict = predict

    async def answer(self, instances: list[Any]) -> list[dict[str, Any]]:
        """The predictions for the instances, once there is a model; QueueFull if too many wait already."""
        if self._instances_waiting + len(instances) > WAITING_INSTANCES_MAX:
            raise QueueFull
        future: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._waiting.append((instances, future))
        self._instances_waiting += len(instances)
        self._arrived.set()
        return await future

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Works on the queue until left."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="model") as thread:
            task = asyncio.create_task(self._work(thread))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            try:
                await self._work_on(batch, thread)
            except Exception as error:  # noqa: BLE001 (whatever a user's module raises is its requests' answer)
                if len(batch) == 1:
                    _fail(batch[0], error)
                    continue
                for one in batch:  # one user's bad request must not fail the others: each gets its own answer
                    try:
                        await self._work_on([one], thread)
                    except Exception as own_error:  # noqa: BLE001 (as above)
                        _fail(one, own_error)

    async def _work_on(self, batch: list[Waiting], thread: ThreadPoolExecutor) -> None:
        if self._predict is None:
            raise RuntimeError("the batcher was asked before it began")
        instances = [one for waiting, _ in batch for one in waiting]
        predictions = await asyncio.get_running_loop().run_in_executor(thread, self._predict, instances)
        start = 0
        for waiting, future in batch:
            if not future.done():
                future.set_result(predictions[start : start + len(waiting)])
            start += len(waiting)

    def _next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0][0]) <= BATCH_INSTANCES):
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        self._instances_waiting -= size
        if not self._waiting:
            self._arrived.clear()
        return batch


def _fail(one: Waiting, error: Exception) -> None:
    _, future = one
    if not future.done():
        future.set_exception(error)
