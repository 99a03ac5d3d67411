"""Whether pods take requests: asked as their readinessProbe says, at the port that they have on this machine."""

import asyncio
import time

import aiohttp

from headrace.local.pods import LOOPBACK, LocalPod, changed
from headrace.local.store import Store
from headrace.plan.values import PodPhase, Raw

LOOK_SECONDS = 0.2


def http_probe(pod: LocalPod) -> Raw | None:
    """The pod's HTTP readiness probe; None if it has none, and is ready as soon as it runs."""
    probe: Raw = pod.container.get("readinessProbe") or {}
    return probe if "httpGet" in probe else None


def probe_url(pod: LocalPod, probe: Raw) -> str | None:
    """Where to ask; None if the probe's port has no name, and so no number on this machine."""
    get = probe["httpGet"]
    names = {str(port["containerPort"]): port.get("name") for port in pod.container.get("ports", ())}
    name = names.get(str(get["port"]), str(get["port"]))
    port = pod.status.ports.get(name or "")
    return f"http://{LOOPBACK}:{port}{get.get('path', '/')}" if port else None


class Readiness:
    """Asks pods and writes the answer into their status. A pod that is not ready yet is asked more often than its period."""

    def __init__(self, session: aiohttp.ClientSession, store: Store) -> None:
        """Nothing is asked before `look`."""
        self._session = session
        self._store = store
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    async def look(self) -> None:
        """Asks every running pod whose turn it is."""
        pods = [
            pod
            for raw in self._store.list("Pod")
            if (pod := LocalPod.of(raw)).status.running and pod.status.phase == PodPhase.RUNNING
        ]
        known = {pod.uid for pod in pods}
        self._due = {uid: due for uid, due in self._due.items() if uid in known}
        self._failures = {uid: count for uid, count in self._failures.items() if uid in known}
        now = time.monotonic()
        await asyncio.gather(
            *(
                self._ask(pod, probe, now)
                for pod in pods
                if (probe := http_probe(pod)) and self._due.get(pod.uid, 0.0) <= now
            )
        )

    async def _ask(self, pod: LocalPod, probe: Raw, now: float) -> None:
        answers = await self._answers(probe_url(pod, probe), float(probe.get("timeoutSeconds", 1)))
        self._failures[pod.uid] = 0 if answers else self._failures.get(pod.uid, 0) + 1
        if pod.status.ready:
            self._due[pod.uid] = now + float(probe.get("periodSeconds", 10))
        ready = answers or (pod.status.ready and self._failures[pod.uid] < int(probe.get("failureThreshold", 3)))
        self._write(pod, ready=ready)

    async def _answers(self, url: str | None, timeout_seconds: float) -> bool:
        if url is None:
            return False
        try:
            async with self._session.get(
                url, timeout=aiohttp.ClientTimeout(total=timeout_seconds), allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _write(self, pod: LocalPod, *, ready: bool) -> None:
        """Writes the answer unless the pod has ended, or begun anew, while it was asked."""
        raw = self._store.get(*pod.key)
        latest = LocalPod.of(raw) if raw else None
        if (
            latest
            and latest.uid == pod.uid
            and latest.status.running
            and latest.status.restarts == pod.status.restarts
            and latest.status.ready != ready
        ):
            self._store.save_status(latest.key, changed(latest.status, ready=ready).wire())
