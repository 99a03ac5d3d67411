"""The live reports of pods, pulled from their report ports with the run's token. What is held here is only the newest answer."""

import asyncio
import base64
import logging
from collections.abc import Callable, Iterable

import aiohttp
from pydantic import ValidationError

from headrace.api.run_report import RunReport
from headrace.local.pods import LOOPBACK, LocalPod
from headrace.local.refusals import PushFailed
from headrace.local.store import Store
from headrace.plan.values import PodPhase, Raw

logger = logging.getLogger(__name__)

PULL_SECONDS = 0.5
TIMEOUT = aiohttp.ClientTimeout(total=5.0)
REPORT_BYTES_MAX = 2**20
PORT = "report"


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
        try:
            async with self._session.get(
                self._url(pod, "/report"), headers=self._headers(pod), timeout=TIMEOUT
            ) as answer:
                if answer.status != 200 or (answer.content_length or 0) > REPORT_BYTES_MAX:
                    logger.debug("%s answers /report with %s", pod.name, answer.status)
                    return
                report = RunReport.model_validate_json(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
            # It may not listen yet, or not any more; its process tells more than its silence.
            logger.debug("no report from %s: %s", pod.name, error)
            return
        if report != self._newest.get(pod.uid):
            self._newest[pod.uid] = report
            self._tell(pod.raw)

    async def push(self, pod: LocalPod, path: str, body: Raw) -> None:
        """PUTs JSON to a pod's report port; PushFailed if it did not take it."""
        try:
            async with self._session.put(
                self._url(pod, path), json=body, headers=self._headers(pod), timeout=TIMEOUT
            ) as answer:
                if answer.status >= 300:
                    raise PushFailed(
                        f"pod {pod.name} answered PUT {path} with {answer.status}: {(await answer.text())[:300]}"
                    )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PushFailed(
                f"pod {pod.name} cannot be told PUT {path} now: {error or type(error).__name__}"
            ) from error

    def _url(self, pod: LocalPod, path: str) -> str:
        if PORT not in pod.status.ports:
            raise PushFailed(f"pod {pod.name} has no port named {PORT}; name one in its manifest")
        return f"http://{LOOPBACK}:{pod.status.ports[PORT]}{path}"

    def _headers(self, pod: LocalPod) -> dict[str, str]:
        if (reference := pod.token_reference) is None:
            return {}
        secret = self._store.get("Secret", pod.key[1], reference[0])
        token = (secret or {}).get("data", {}).get(reference[1])
        return {"Authorization": f"Bearer {base64.b64decode(token).decode()}"} if token else {}


def _reporting(pods: Iterable[LocalPod]) -> list[LocalPod]:
    return [
        pod for pod in pods if PORT in pod.status.ports and pod.status.phase == PodPhase.RUNNING and pod.status.running
    ]
