"""What the operator's benchmark does to a cluster: many objects at once, and a watch that tells when all pods run."""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import aiohttp

from headrace.api.meta import API_VERSION, Kind
from headrace.kube import Api
from headrace.kube.resources import BY_KIND, POD
from headrace.plan.values import Raw

AT_ONCE = 48
READY_SECONDS = 60.0


@dataclass
class Progress:
    """The pods of a namespace that run, and when the last of them began to."""

    running: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> float:
        """Waits until so many pods run; returns the moment."""
        async with asyncio.timeout(READY_SECONDS):
            while len(self.running) < count:
                self.changed.clear()
                await self.changed.wait()
        return time.perf_counter()


async def watch_pods(api: Api, namespace: str, progress: Progress) -> None:
    """Notes every pod of the namespace that runs, until cancelled."""
    configuration = api.configuration
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(configuration.cert_file, configuration.key_file)
    url = f"{configuration.host}{POD.path(namespace)}?watch=true"
    async with (
        aiohttp.ClientSession(read_bufsize=2**22) as session,
        session.get(url, ssl=context, timeout=aiohttp.ClientTimeout(total=None)) as answer,
    ):
        async for line in answer.content:
            # Most events are told from the text: a benchmark should not spend the machine on parsing.
            if b'"phase":"Running"' not in line:
                continue
            event = json.loads(line)
            if event["type"] != "DELETED":
                progress.running.add(event["object"]["metadata"]["name"])
                progress.changed.set()


async def side_by_side(work: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Does everything, so much at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Callable[[], Awaitable[object]]) -> None:
        async with gate:
            await each()

    await asyncio.gather(*map(one, work))


def train_job(namespace: str, name: str, workers: int) -> Raw:
    """A TrainJob that waits for nothing: its table has a version."""
    return {
        "apiVersion": API_VERSION, "kind": str(Kind.TRAIN_JOB), "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "dataset": {"table": {"uri": "file:///lake/t", "version": 0}}, "model": {"builtin": "Perceptron"}, "epochs": 1,
            "batchSize": max(64, workers), "workers": {"min": workers, "max": workers, "resources": {"cpu": "100m", "memory": "128Mi"}},
        },
    }  # fmt: skip


async def create(api: Api, manifest: Raw) -> Raw:
    """POSTs a manifest."""
    return await api.create(BY_KIND[manifest["kind"]].path(manifest["metadata"]["namespace"]), manifest)
