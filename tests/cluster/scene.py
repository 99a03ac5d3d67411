"""All four kinds in one namespace, and an operator behind a proxy that can do it harm; its health is noted throughout."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from headrace.api.meta import Kind
from headrace.cluster import Unavailable
from headrace.kube import Api, connect
from headrace.kube.resources import BY_KIND, CUSTOM, POD
from tests.cluster.crash import STILL_SECONDS, TOLERATION, Namespace, Raw, free_port, start
from tests.cluster.proxy import Proxy, kubeconfig_for

RECOVERY_SECONDS = 75.0
START_SECONDS = 180.0
LOOK_SECONDS = 0.2
JOBS = (Kind.DATA_PIPELINE, Kind.TRAIN_JOB, Kind.TUNE_JOB)
MERGE = {"Content-Type": "application/merge-patch+json"}


class Scene:
    """What a test does to it, sees of it and waits for."""

    def __init__(self, api: Api, proxy: Proxy, space: Namespace, port: int) -> None:
        self.api, self.proxy, self.space, self._port = api, proxy, space, port
        self.health = 0
        """The code that /healthz answered last; 0 for none."""
        self.troubles = ""
        """What it said when it was last 503."""
        self.playing = False
        """Whether heads come to their end."""

    async def run(self) -> None:
        """Looks, and plays the pods, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                with contextlib.suppress(Unavailable):
                    await (self.space.play() if self.playing else self.space.look())
                self.health, words = await self.ask(session, "healthz")
                self.troubles = words if self.health == 503 else self.troubles
                await asyncio.sleep(LOOK_SECONDS)

    async def ask(self, session: aiohttp.ClientSession, page: str) -> tuple[int, str]:
        """What the operator says of itself."""
        try:
            async with session.get(f"http://127.0.0.1:{self._port}/{page}") as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0, ""

    async def until(self, what: str, fact: Callable[[], Awaitable[bool]], seconds: float) -> float:
        """Waits for a fact; returns the seconds that it took."""
        started = time.monotonic()
        while True:
            with contextlib.suppress(Unavailable):
                if await fact():
                    break
            assert time.monotonic() - started < seconds, f"not within {seconds:.0f} s: {what}; {await self.told()}"
            await asyncio.sleep(LOOK_SECONDS)
        took = time.monotonic() - started
        print(f"{what}: after {took:.1f} s")
        return took

    async def told(self) -> str:
        """Every object's phase and sentence, for who reads a failure."""
        return "; ".join(f"{each['kind']} {each['metadata']['name']}: {ready(each)}" for each in await self.objects())

    async def objects(self) -> list[Raw]:
        """The custom resources."""
        return [each for resource in CUSTOM for each in (await self.api.list(resource, self.space.name)).items]

    async def get(self, kind: Kind, name: str = "one") -> Raw:
        """One object."""
        return await self.api.get(BY_KIND[str(kind)].path(self.space.name, name))

    async def pods(self, kind: Kind, role: str = "") -> list[Raw]:
        """The pods of the object `one` of a kind."""
        return [
            pod for pod in (await self.api.list(POD, self.space.name)).items
            if pod["metadata"]["labels"]["headrace.dev/kind"] == kind
            and pod["metadata"]["labels"]["headrace.dev/name"] == "one"
            and role in ("", pod["metadata"]["labels"]["headrace.dev/role"])
        ]  # fmt: skip

    async def patch(self, path: str, body: Raw) -> None:
        """Changes an object as its user would."""
        await self.api._request("patch", "PATCH", path, {"fieldManager": "somebody"}, body, MERGE)

    async def delete(self, path: str) -> None:
        """Deletes an object as its user would."""
        await self.api.delete(path, (await self.api.get(path))["metadata"]["uid"])

    async def underway(self) -> None:
        """Waits until a head of every job runs."""

        async def running() -> bool:
            heads = [pod for kind in JOBS for pod in await self.pods(kind, "head")]
            return len(heads) == len(JOBS) and all(pod["status"].get("phase") == "Running" for pod in heads)

        await self.until("the heads of all jobs run", running, START_SECONDS)

    async def settle(self, seconds: float = RECOVERY_SECONDS) -> float:
        """Has every object come to its end, without another write, and the operator healthy."""
        self.playing = True

        async def settled() -> bool:
            still = time.monotonic() - self.proxy.last_write > STILL_SECONDS
            return still and all(map(at_its_end, await self.objects())) and not await self.left_over()

        return await self.until("everything is where it stays", settled, seconds)

    async def healthy(self, seconds: float) -> None:
        """Waits until the operator calls itself healthy."""

        async def green() -> bool:
            return self.health == 200

        await self.until("/healthz is green", green, seconds)

    async def blind(self, seconds: float) -> None:
        """Waits until the operator says that it does not see."""

        async def red() -> bool:
            return self.health == 503

        await self.until("/healthz is red", red, seconds)
        print(self.troubles)

    async def left_over(self) -> tuple[str, ...]:
        """Children without an owner."""
        return (await self.space.end()).orphaned


def ready(raw: Raw) -> str:
    """The phase of an object, and what its condition Ready says."""
    status = raw.get("status") or {}
    words = [f"{each['reason']}: {each['message']}" for each in status.get("conditions", ()) if each["type"] == "Ready"]
    return f"{status.get('phase')} {' '.join(words)}"


def at_its_end(raw: Raw) -> bool:
    """Whether an object is where it stays."""
    status = raw.get("status") or {}
    if raw["kind"] == Kind.INFERENCE_ENDPOINT:
        return "stable" in status
    return status.get("phase") == ("Suspended" if raw["spec"].get("suspend") else "Complete")


@asynccontextmanager
async def scene(scratch: Path, tolerations: tuple[Raw, ...] = ()) -> AsyncIterator[Scene]:
    """The objects, made, and an operator that has begun with them. The API server is that of KUBECONFIG."""
    api, name, port = await connect(), f"fault-{uuid.uuid4().hex[:8]}", free_port()
    pods = {**TOLERATION, "tolerations": [*TOLERATION["tolerations"], *tolerations]}
    proxy, space, operator = Proxy(api), Namespace(api, Kind.INFERENCE_ENDPOINT, name, pods), None
    try:
        async with proxy.serving() as server:
            made = Scene(api, proxy, space, port)
            await space.start()
            await space.make(Kind.DATA_PIPELINE)
            await space.make(Kind.TUNE_JOB)
            operator = await start(kubeconfig_for(server, scratch / f"{name}.yaml"), name, port=port)
            looking = asyncio.create_task(made.run())
            try:
                await made.underway()
                await made.healthy(START_SECONDS)
                yield made
                assert operator.returncode is None, f"the operator ended with {operator.returncode}"
                assert not looking.done(), looking
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                if operator.returncode is None:
                    operator.kill()
                await operator.wait()
    finally:
        await space.drop()
        await api.close()
