"""The operator as a process: watches, lease, queue, reports, events and health, put together."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import uvloop
from prometheus_client.core import Metric

from headrace import handlers
from headrace.api.meta import Condition, ObjectKey
from headrace.cluster import Conflict, Unavailable
from headrace.kube import POD, Api, KubeCluster, Lease, Sweep, Timing, connect, watch
from headrace.kube.events import Events
from headrace.kube.operator_key import operator_key
from headrace.kube.reports import Reports, route
from headrace.plan.values import Settings
from headrace.process_memory import keep_memory_steady, return_memory
from headrace.queue import Queue
from headrace.reconcile import reconcile
from headrace.running_metrics import gauges_of_running
from headrace.telemetry import JsonFormatter, Telemetry, gauge, serve

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the operator was told at its start."""

    settings: Settings
    namespaces: tuple[str, ...] = ()
    """Empty for all of them."""
    name: str = "headrace-operator"
    """Of its lease; its key has the same with -key."""
    lease_namespace: str = "default"
    context: str | None = None
    port: int = 8080
    json_logs: bool = True
    workers: int = 16
    timing: Timing = field(default_factory=Timing)


def operate(options: Options) -> None:
    """Runs the operator until SIGTERM; NoCluster or NoKey says why it cannot start."""
    _configure_logs(json_lines=options.json_logs)
    keep_memory_steady()
    uvloop.run(_operate(options))


async def _operate(options: Options) -> None:
    telemetry = Telemetry()
    api = await connect(options.context, telemetry.requested)
    try:
        await _Operator(options, api, telemetry).run()
    finally:
        await api.close()


class _Operator:
    def __init__(self, options: Options, api: Api, telemetry: Telemetry) -> None:
        self._options = options
        self._api = api
        self._telemetry = telemetry
        identity = f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{secrets.token_hex(4)}"
        self._lease = Lease(api, options.lease_namespace, options.name, identity, options.timing)
        self._events = Events(api, identity, self._leads)
        self._catching_up: asyncio.Task[None] | None = None
        self._caught_up = False
        """Whether everything was looked at since the lease was gained; before that nothing is written."""
        self._queue = Queue(self._work, workers=options.workers, patience=self._patience)

    async def run(self) -> None:
        key = await operator_key(self._api, self._options.lease_namespace, f"{self._options.name}-key")
        self._cluster = KubeCluster(self._api, self._options.settings, key, self._leads)
        self._sweep = Sweep(self._api, self._cluster, self._options.namespaces)
        self._telemetry.gauges(self._gauges)
        stop = _stop_on_signals()
        health = await serve(self._options.port, self._telemetry, self._not_ready, self._sweep.troubles)
        try:
            way = route(self._options.settings.reports, self._api)
            async with way.session() as session:
                self._cluster.reports = Reports(
                    session, self._cluster.pod_entries, self._cluster.token, self._cluster.heard, way
                )
                await self._until(stop, self._cluster.reports)
        finally:
            await health.cleanup()

    async def _until(self, stop: asyncio.Event, reports: Reports) -> None:
        """Works until told to stop; the lease is given back after the last write."""
        saw, gone = self._sweep.hearing(self._cluster.saw), self._sweep.hearing(self._cluster.gone)
        feed = asyncio.create_task(handlers.feed(self._api, self._options.namespaces, saw, gone, stop))
        pods = [watch(self._api, POD, namespace, saw, gone) for namespace in self._options.namespaces or (None,)]
        lease = asyncio.create_task(self._lease.run(self._gained))
        work = [
            asyncio.create_task(each)
            for each in (
                self._sweep.run(), self._queue.run(), self._wake(), reports.run(self._leads), self._events.run(), return_memory(), *pods,
            )
        ]  # fmt: skip
        waiter = asyncio.create_task(_wait(stop))
        done, _ = await asyncio.wait([feed, lease, waiter, *work], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        busy = [*work, feed, *([self._catching_up] if self._catching_up else [])]
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        lease.cancel()
        await asyncio.gather(lease, waiter, return_exceptions=True)
        for task in done:
            task.result()

    def _leads(self) -> bool:
        """Whether this replica works: it holds the lease and knows what the last holder wrote."""
        return self._lease.held and self._caught_up

    async def _wake(self) -> None:
        async for key in self._cluster.watch():
            if self._leads():
                self._queue.wake(key)

    def _gained(self) -> None:
        self._caught_up = False
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Looks at everything as it is now: what this replica remembers may be older than what the last one wrote."""
        while True:
            try:
                await self._sweep.once(at_once=True)
            except Unavailable as error:
                logger.warning("the cluster cannot be listed now: %s", error)
                await asyncio.sleep(1.0)
            else:
                self._caught_up = True
                self._cluster.wake_all()
                return

    async def _work(self, key: ObjectKey, now: datetime) -> float | None:
        if not self._leads():
            return None
        started, result = time.perf_counter(), "Error"
        try:
            if unreadable := await self._cluster.say_unreadable(key, now):
                self._tell(key, unreadable)
            pause = await reconcile(self._cluster, key, now, self._tell)
            result = "Done"
        except Conflict:
            result = "Conflict"
            raise
        except Unavailable:
            result = "Unavailable"
            raise
        finally:
            self._telemetry.reconciled(str(key.kind), result, time.perf_counter() - started)
        return pause

    def _patience(self, key: ObjectKey) -> float:
        return self._cluster.patience(key)

    def _tell(self, key: ObjectKey, condition: Condition) -> None:
        if uid := self._cluster.uid_of(key):
            self._events.tell(key, uid, condition)

    def _not_ready(self) -> list[str]:
        return [] if self._sweep.done_once else ["not all objects have been listed yet"]

    def _gauges(self) -> Iterable[Metric]:
        yield gauge("headrace_leader", "1 on the replica that works.", (), {(): float(self._lease.held)})
        yield gauge("headrace_queue_length", "Objects that wait to be looked at.", (), {(): float(len(self._queue))})
        jobs = Counter((str(key.kind), phase) for key, phase in self._cluster.phases())
        yield gauge("headrace_jobs", "Objects by kind and phase.", ("kind", "phase"), {key: float(count) for key, count in jobs.items()})  # fmt: skip
        yield from gauges_of_running(self._cluster.running())


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _configure_logs(*, json_lines: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if json_lines else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
