"""Runs of each kind on fake nodes, with the operator killed at one write, and what is left at the end."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.api.meta import API_VERSION, Kind
from headrace.api.run_report import ReportPhase
from headrace.kube import Api, connect
from headrace.kube.client import NotFound, Stale
from headrace.kube.resources import BY_KIND, CUSTOM, LEASE, POD, SWEPT
from tests import gen
from tests.cluster.proxy import Proxy, kubeconfig_for

Raw = dict[str, Any]
NAME = "headrace-operator"
STILL_SECONDS = 2.5
KILL_SECONDS = 45.0
END_SECONDS = 150.0
STRIP_ROUNDS = 3
"""Somebody else may write an object meanwhile, and controllers put their own annotations back."""
TABLE = {"table": {"uri": "file:///lake/t", "version": 0}}
TRAIN = {"dataset": TABLE, "model": {"builtin": "Perceptron"}, "epochs": 1, "workers": {"min": 1, "max": 2}, "recovery": {"backoffSeconds": 1}}  # fmt: skip
SPECS: dict[Kind, Raw] = {
    Kind.DATA_PIPELINE: {
        "source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}, "workers": {"min": 1, "max": 2}, "recovery": {"backoffSeconds": 1},
    },
    Kind.TRAIN_JOB: {**TRAIN, "rollout": {"endpoint": "one"}},
    Kind.TUNE_JOB: {
        "objective": {"metric": "accuracy", "goal": "Maximize"}, "algorithm": {"random": {}}, "budget": {"trials": 2, "parallel": 2},
        "search": [{"path": "optimizer.learningRate", "uniform": {"low": 0.1, "high": 0.2}}], "recovery": {"backoffSeconds": 1},
        "template": {**TRAIN, "workers": {"min": 1, "max": 1}},
    },
    Kind.INFERENCE_ENDPOINT: {"replicas": {"min": 1, "max": 1}},
}  # fmt: skip
TOLERATION = {"tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}], "nodeSelector": {"type": "kwok"}}


@dataclass(frozen=True)
class Point:
    """The moment at which the operator is killed: before or after its nth write; never, for 0."""

    kind: Kind
    write: int = 0
    after: bool = False
    strip: bool = False
    """Whether objects and children then lose all their annotations, as by kubectl replace."""

    def __str__(self) -> str:
        stripped = ", all annotations lost" if self.strip else ""
        return f"{self.kind}, {'after' if self.after else 'before'} write {self.write}{stripped}"


@dataclass(frozen=True)
class End:
    """What is left when nothing is written any more: the status without times and names, the children, the pods ever seen."""

    status: Raw
    children: tuple[tuple[str, str], ...]
    doubled: tuple[str, ...]
    orphaned: tuple[str, ...]


class Namespace:
    """One run in a namespace of its own, watched by an administrator."""

    def __init__(self, api: Api, kind: Kind, name: str, pods: Raw = TOLERATION) -> None:
        self._api, self._kind, self.name, self._pods = api, kind, name, pods
        self._uids: dict[str, set[str]] = {}
        self._told: set[str] = set()
        self.fails = True
        """Whether the first attempt of a run fails."""
        self.twice: set[str] = set()
        """Heads of one object that were there together before they had ended."""

    async def start(self) -> None:
        await self._api.create(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}}
        )
        await self.make(self._kind)
        if self._kind == Kind.INFERENCE_ENDPOINT:
            await self.make(Kind.TRAIN_JOB)

    async def make(self, kind: Kind, name: str = "one") -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": str(kind),
            "metadata": {"name": name, "namespace": self.name},
            "spec": {**SPECS[kind], "pods": self._pods},
        }
        await self._api.create(BY_KIND[str(kind)].path(self.name), body)

    async def look(self) -> list[Raw]:
        """The pods as they are; which there were is remembered."""
        pods = (await self._api.list(POD, self.name)).items
        heads: dict[str, set[str]] = {}
        for pod in pods:
            metadata, own = pod["metadata"], pod["metadata"]["labels"]
            self._uids.setdefault(metadata["name"], set()).add(metadata["uid"])
            if own.get("headrace.dev/role") == "head" and pod["status"].get("phase") in ("Pending", "Running"):
                heads.setdefault(own["headrace.dev/uid"], set()).add(metadata["name"])
        self.twice |= {name for names in heads.values() if len(names) > 1 for name in names}
        return pods

    async def play(self) -> None:
        """Looks at the pods once: a head's first attempt fails, if one is to, and its second is complete.

        A head ends once it has what is made for one that runs: real ones take longer than that.
        """
        pods = await self.look()
        named, reached = [
            {_attempt(each) for each in (await self._api.list(BY_KIND[kind], self.name)).items}
            for kind in ("Service", "EndpointSlice")
        ]
        kept = {_owner(each) for each in (await self._api.list(BY_KIND["PodDisruptionBudget"], self.name)).items}
        for pod in pods:
            metadata, own = pod["metadata"], pod["metadata"]["labels"]
            if (
                own.get("headrace.dev/role") != "head"
                or pod["status"].get("phase") != "Running"
                or metadata["uid"] in self._told
                or _attempt(pod) not in named & reached
                or _owner(pod) not in kept
            ):
                continue
            failed = self.fails and own["headrace.dev/attempt"] == "1"
            annotations = {
                "headrace.dev/kwok-exit-after": "10ms", "headrace.dev/kwok-exit-code": "1" if failed else "0",
                "headrace.dev/kwok-message": "" if failed else report(Kind(own["headrace.dev/kind"])),
            }  # fmt: skip
            path = POD.path(self.name, metadata["name"])
            await self._api._request(
                "patch", "PATCH", path, None, {"metadata": {"annotations": annotations}}, {"Content-Type": "application/merge-patch+json"},
            )  # fmt: skip
            self._told.add(metadata["uid"])

    async def strip(self) -> None:
        """Replaces everything by itself without annotations; pods that have not ended by then are told once more how."""
        for resource in SWEPT * STRIP_ROUNDS:
            for each in (await self._api.list(resource, self.name)).items:
                metadata = {name: value for name, value in each["metadata"].items() if name != "annotations"}
                if metadata != each["metadata"]:
                    with contextlib.suppress(NotFound, Stale):
                        await self._api.update(
                            resource.path(self.name, metadata["name"]), {**each, "metadata": metadata}
                        )
        self._told.clear()

    async def finished(self) -> bool:
        """Whether the object is where it stays."""
        status = (await self._object()).get("status") or {}
        if self._kind == Kind.INFERENCE_ENDPOINT:
            return "stable" in status and all(each.get("ready") for each in status.get("versions") or [{}])
        return status.get("phase") in ("Complete", "Failed")

    async def phases(self) -> dict[str, str]:
        """The phase of every object, by kind."""
        found = [(kind, each) for kind in CUSTOM for each in (await self._api.list(kind, self.name)).items]
        return {kind.kind: each.get("status", {}).get("phase", "") for kind, each in found}

    async def _object(self) -> Raw:
        return await self._api.get(BY_KIND[str(self._kind)].path(self.name, "one"))

    async def end(self) -> End:
        owners = {
            each["metadata"]["uid"] for resource in CUSTOM for each in (await self._api.list(resource, self.name)).items
        }
        children, orphaned = [], []
        for resource in SWEPT:
            if resource in CUSTOM:
                continue
            for each in (await self._api.list(resource, self.name)).items:
                uid = each["metadata"]["uid"]
                owners |= {uid} if resource.kind == "Deployment" else set()
                name = without_digest(each["metadata"]["name"])
                if resource.kind != "Pod" or each["metadata"]["labels"].get("headrace.dev/attempt"):
                    children.append((resource.kind, name))
                    if not {reference["uid"] for reference in each["metadata"]["ownerReferences"]} & owners:
                        orphaned.append(name)
        doubled = [name for name, uids in self._uids.items() if len(uids) > 1]
        status = (await self._object())["status"]
        return End(slim(status), tuple(sorted(children)), tuple(doubled), tuple(orphaned))

    async def drop(self) -> None:
        path = f"/api/v1/namespaces/{self.name}"
        with contextlib.suppress(NotFound):
            await self._api.delete(path, (await self._api.get(path))["metadata"]["uid"])


def _owner(child: Raw) -> str:
    return str(child["metadata"]["labels"]["headrace.dev/uid"])


def _attempt(child: Raw) -> tuple[str, str, str]:
    """The owner, the run and the attempt that a child belongs to."""
    own = child["metadata"]["labels"]
    return _owner(child), own.get("headrace.dev/run", ""), own.get("headrace.dev/attempt", "")


def report(kind: Kind) -> str:
    """What a head says at its end: always the same."""
    made: Raw = {"dataset": gen.dataset()} if kind == Kind.DATA_PIPELINE else {"model": gen.model()}
    return gen.report(ReportPhase.COMPLETE, reason="Complete", **made).final_json()


def without_digest(name: str) -> str:
    """A child's name without its owner's UID."""
    first, _, rest = name.partition("-")
    return f"{first}-{rest.partition('-')[2]}" if rest else name


def slim(status: Raw) -> Raw:
    """A status without what differs between two equal runs."""
    kept = ("phase", "run", "attempt", "restarts", "disruptions", "dataset", "model", "percent", "stable")
    conditions = sorted((each["type"], each["status"], each["reason"]) for each in status.get("conditions", ()))
    incidents = [(each["attempt"], each["reason"]) for each in status.get("incidents", ())]
    return {**{name: status[name] for name in kept if name in status}, "conditions": conditions, "incidents": incidents}


class Crash:
    """The operator behind a proxy, killed at a point and started again."""

    def __init__(self, scratch: Path) -> None:
        """The API server is that of KUBECONFIG."""
        self._scratch = scratch

    async def run(self, point: Point) -> tuple[End, list[str]]:
        """The end of a run, and the writes that the operator made."""
        api = await connect()
        name = f"crash-{uuid.uuid4().hex[:8]}"
        space, proxy = Namespace(api, point.kind, name), Proxy(api)
        killed, operator = asyncio.Event(), None
        try:
            async with proxy.serving() as port:
                config = kubeconfig_for(port, self._scratch / f"{name}.yaml")
                await space.start()
                operator = await start(config, name)

                def kill(number: int) -> None:
                    if operator is not None and number == point.write and not killed.is_set():
                        killed.set()
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(operator.pid, signal.SIGKILL)

                setattr(proxy, "after" if point.after else "before", kill)
                if point.write and not point.after:
                    proxy.before = dropping(kill, point.write)
                working = asyncio.Event()
                async with until_still(space, proxy, working) as waiting:
                    if not point.write:
                        await leads(api, name)
                        working.set()
                    # Writes that only show progress may be fewer than in the run that was counted.
                    await asyncio.wait(
                        {asyncio.create_task(killed.wait()), waiting},
                        timeout=KILL_SECONDS,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if killed.is_set():
                        await operator.wait()
                        if point.strip:
                            await space.strip()
                        with contextlib.suppress(NotFound):
                            lease = await api.get(LEASE.path(name, NAME))
                            await api.delete(LEASE.path(name, NAME), lease["metadata"]["uid"])
                        operator = await start(config, name)
                        await leads(api, name)
                    proxy.last_write = time.monotonic()
                    working.set()
                    await waiting
                operator.send_signal(signal.SIGTERM)
                await operator.wait()
                return await space.end(), proxy.writes
        finally:
            if operator is not None and operator.returncode is None:
                operator.kill()
            await space.drop()
            await api.close()


async def leads(api: Api, namespace: str) -> None:
    """Waits until an operator holds the lease of a namespace, and gives it time to look around."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        with contextlib.suppress(NotFound):
            if ((await api.get(LEASE.path(namespace, NAME))).get("spec") or {}).get("holderIdentity"):
                break
        assert time.monotonic() < deadline, f"no operator leads in {namespace}"
        await asyncio.sleep(0.1)


def dropping(kill: Callable[[int], None], write: int) -> Callable[[int], None]:
    """Kills, and has the write never reach the server."""

    def before(number: int) -> None:
        kill(number)
        if number == write:
            raise ConnectionResetError

    return before


@asynccontextmanager
async def until_still(space: Namespace, proxy: Proxy, working: asyncio.Event) -> AsyncIterator[asyncio.Task[None]]:
    """A task that plays the pods until the object is where it stays and an operator that works writes nothing for a while."""

    async def play() -> None:
        deadline = time.monotonic() + END_SECONDS
        while not (working.is_set() and time.monotonic() - proxy.last_write > STILL_SECONDS and await space.finished()):
            assert time.monotonic() < deadline, (
                f"{space.name} has no end; the writes: {json.dumps(proxy.writes[-20:], indent=1)}"
            )
            await space.play()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(play())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(
    config: Path, namespace: str, lease: str = "", name: str = NAME, port: int = 0
) -> asyncio.subprocess.Process:
    """The operator for one namespace, its lease in the same or another; `port` is that of its health."""
    command = [
        sys.executable, "-m", "headrace.cli", "operator", "--namespace", namespace, "--lease-namespace", lease or namespace,
        "--name", name, "--port", str(port or free_port()), "--log-format", "text",
    ]  # fmt: skip
    log = config.with_suffix(".log").open("a")
    return await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "KUBECONFIG": str(config)}, stdout=log, stderr=log
    )
