"""What the operator's benchmark does to a cluster: many objects at once, and a watch that tells when all pods run."""

import asyncio
import contextlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from headrace.api.meta import API_VERSION, Kind
from headrace.kube import Api
from headrace.kube.client import NotFound
from headrace.kube.resources import BY_KIND, POD
from headrace.plan.values import Raw

AT_ONCE = 48
READY_SECONDS = 60.0
EMPTY_SECONDS = 180


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
    """Notes every pod of the namespace that runs, until cancelled; a watch that ends is opened again and tells all anew."""
    configuration = api.configuration
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(configuration.cert_file, configuration.key_file)
    url = f"{configuration.host}{POD.path(namespace)}?watch=true"
    async with aiohttp.ClientSession(read_bufsize=2**22, timeout=aiohttp.ClientTimeout(total=None)) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url, ssl=context) as answer:
                    async for line in answer.content:
                        _note(line, progress)


def _note(line: bytes, progress: Progress) -> None:
    # Most events are told from the text: a benchmark should not spend the machine on parsing.
    if b'"phase":"Running"' not in line:
        return
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


def bare_pod(namespace: str, name: str) -> Raw:
    """The least that a pod can be."""
    container = {"name": "main", "image": "localhost/any:1"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [container]},
    }  # fmt: skip


async def require_definitions(api: Api) -> None:
    """SystemExit if the cluster does not know what a TrainJob is."""
    try:
        await api.get(BY_KIND["TrainJob"].path("default"), {"limit": "1"})
    except NotFound:
        raise SystemExit("the cluster has no TrainJobs; first: kubectl apply --server-side --filename crds/") from None


async def create(api: Api, manifest: Raw) -> Raw:
    """POSTs a manifest."""
    return await api.create(BY_KIND[manifest["kind"]].path(manifest["metadata"]["namespace"]), manifest)


@asynccontextmanager
async def namespace(api: Api) -> AsyncIterator[str]:
    """A namespace for one measurement, emptied afterwards."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    await api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        made = await api.get(f"/api/v1/namespaces/{name}")
        await api.delete(f"/api/v1/namespaces/{name}", made["metadata"]["uid"])
        await gone(api, name)


@asynccontextmanager
async def watched(api: Api, name: str) -> AsyncIterator[Progress]:
    progress = Progress()
    task = asyncio.create_task(watch_pods(api, name, progress))
    await asyncio.sleep(0.5)
    try:
        yield progress
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def gone(api: Api, name: str) -> None:
    """Waits until a namespace is gone, so that its end does not burden the next measurement."""
    async with asyncio.timeout(EMPTY_SECONDS):
        with contextlib.suppress(NotFound):
            while True:
                await api.get(f"/api/v1/namespaces/{name}")
                await asyncio.sleep(0.5)
