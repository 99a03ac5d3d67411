"""The live reports of pods, pulled from their report ports with the run's token. What is held here is only the newest answer."""

import asyncio
import base64
from collections.abc import Callable, Iterable

import aiohttp

from headrace.api.run_report import RunReport
from headrace.local.pods import LOOPBACK, LocalPod
from headrace.local.store import Store
from headrace.plan.values import PodPhase, Raw
from headrace.reports import PORT, PushFailed, bearer, fetch, push

PULL_SECONDS = 0.5


class Reports:
    """Pulls, keeps and answers the newest report of every pod; tells when one is new."""

    def __init__(self, session: aiohttp.ClientSession, store: Store, tell: Callable[[Raw], None]) -> None:
        """`tell` is called with the pod whose report is new."""
        self._session = session
        self._store = store
        self._tell = tell
        self._newest: dict[str, RunReport] = {}

    def newest(self, uid: str) -> RunReport | None:
        """The newest report of a pod."""
        return self._newest.get(uid)

    async def pull(self) -> None:
        """Asks every running pod once."""
        pods = [LocalPod.of(raw) for raw in self._store.list("Pod")]
        known = {pod.uid for pod in pods}
        self._newest = {uid: report for uid, report in self._newest.items() if uid in known}
        await asyncio.gather(*(self._pull_one(pod) for pod in _reporting(pods)))

    async def _pull_one(self, pod: LocalPod) -> None:
        report = await fetch(self._session, pod.name, self._base(pod), bearer(self._token(pod)))
        if report is not None and report != self._newest.get(pod.uid):
            self._newest[pod.uid] = report
            self._tell(pod.raw)

    async def push(self, pod: LocalPod, path: str, body: Raw) -> None:
        """PUTs JSON to a pod's report port; PushFailed if it did not take it."""
        await push(self._session, pod.name, self._base(pod), path, bearer(self._token(pod)), body)

    def _base(self, pod: LocalPod) -> str:
        if PORT not in pod.status.ports:
            raise PushFailed(f"pod {pod.name} has no port named {PORT}; name one in its manifest")
        return f"http://{LOOPBACK}:{pod.status.ports[PORT]}"

    def _token(self, pod: LocalPod) -> str:
        if (reference := pod.token_reference) is None:
            return ""
        secret = self._store.get("Secret", pod.key[1], reference[0])
        token = (secret or {}).get("data", {}).get(reference[1])
        return base64.b64decode(token).decode() if token else ""


def _reporting(pods: Iterable[LocalPod]) -> list[LocalPod]:
    return [
        pod for pod in pods if PORT in pod.status.ports and pod.status.phase == PodPhase.RUNNING and pod.status.running
    ]
