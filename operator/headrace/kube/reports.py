"""The live reports of pods on a cluster: every running pod with a report port is asked every few seconds, in turn.

The turns are spread over the period, and a pod that does not answer is asked less and less often.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from headrace.api.run_report import TOKEN_HEADER, RunReport
from headrace.kube.client import Api
from headrace.kube.memory import Entry
from headrace.plan.report_route import ReportRoute
from headrace.plan.values import PodPhase, Raw
from headrace.reports import PORT, PushFailed, bearer, fetch, push

logger = logging.getLogger(__name__)

PULL_SECONDS = 2.0
PROXIED_PULL_SECONDS = 5.0
"""Each question is a request of the API server, which has others to serve. A pod that has not answered yet is asked sooner."""
SLOWEST_SECONDS = 30.0
AT_ONCE = 32


class Route(Protocol):
    """A way to pods' report ports."""

    @property
    def pull_seconds(self) -> float:
        """How often a pod is asked on this way."""

    def session(self) -> aiohttp.ClientSession:
        """Connections for this way."""

    async def to(self, entry: Entry, token: str) -> tuple[str, Mapping[str, str]]:
        """Before which paths a pod is found, and what to send there besides."""


class Direct:
    """To the pod's own address."""

    pull_seconds = PULL_SECONDS

    def session(self) -> aiohttp.ClientSession:
        """Connections past any proxy of the environment."""
        return aiohttp.ClientSession(trust_env=False)

    async def to(self, entry: Entry, token: str) -> tuple[str, Mapping[str, str]]:
        """The run's token is the bearer's."""
        assert entry.pod is not None
        address = f"[{entry.pod.address}]" if ":" in entry.pod.address else entry.pod.address
        return f"http://{address}:{entry.pod.ports[PORT]}", bearer(token)


class Proxied:
    """Through the API server, with the operator's own account there and the run's token in a header that it passes on."""

    pull_seconds = PROXIED_PULL_SECONDS

    def __init__(self, api: Api) -> None:
        """Goes where `api` goes."""
        self._api = api

    def session(self) -> aiohttp.ClientSession:
        """Connections to the API server."""
        return self._api.session()

    async def to(self, entry: Entry, token: str) -> tuple[str, Mapping[str, str]]:
        """The subresource `proxy` of the pod."""
        assert entry.pod is not None
        base, who = await self._api.proxied(entry.place[1], entry.place[2], entry.pod.ports[PORT])
        return base, {**who, TOKEN_HEADER: token}


def route(chosen: ReportRoute, api: Api) -> Route:
    """The way that the settings name."""
    return Proxied(api) if chosen == ReportRoute.PROXY else Direct()


@dataclass
class Answer:
    """What a pod last said, and when to ask again."""

    due: float
    silences: int = 0
    report: RunReport | None = None


class Reports:
    """Asks, keeps the newest answer, tells when one is new."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        entries: Callable[[], Iterable[Entry]],
        token: Callable[[Entry], str],
        tell: Callable[[Entry], None],
        way: Route,
    ) -> None:
        """`entries` gives all pods that are known, `tell` is called with the one whose report is new."""
        self._session = session
        self._way = way
        self._entries = entries
        self._token = token
        self._tell = tell
        self._answers: dict[str, Answer] = {}

    def newest(self, uid: str) -> RunReport | None:
        """The newest report of a pod."""
        answer = self._answers.get(uid)
        return answer.report if answer else None

    async def run(self, allowed: Callable[[], bool]) -> None:
        """Asks for as long as it runs; only while that is allowed."""
        gate = asyncio.Semaphore(AT_ONCE)
        clock = asyncio.get_running_loop().time
        while True:
            if allowed():
                await asyncio.gather(*(self._ask(entry, gate) for entry in self._due(clock())))
            await asyncio.sleep(0.2)

    def _due(self, now: float) -> list[Entry]:
        reporting = {entry.uid: entry for entry in self._entries() if _reports(entry)}
        self._answers = {uid: answer for uid, answer in self._answers.items() if uid in reporting}
        for uid in reporting.keys() - self._answers.keys():
            self._answers[uid] = Answer(now + _share(uid) * 0.5)
        return [reporting[uid] for uid, answer in self._answers.items() if answer.due <= now]

    async def _ask(self, entry: Entry, gate: asyncio.Semaphore) -> None:
        answer = self._answers[entry.uid]
        async with gate:
            report = await fetch(self._session, entry.place[2], *await self._way.to(entry, self._token(entry)))
        answer.silences = 0 if report else answer.silences + 1
        usual = self._way.pull_seconds if answer.report else PULL_SECONDS
        pause = min(usual * 2.0 ** min(max(answer.silences - 3, 0), 10), SLOWEST_SECONDS)
        answer.due = asyncio.get_running_loop().time() + pause * (0.9 + 0.2 * _share(entry.uid))
        if report is not None and report != answer.report:
            answer.report = report
            self._tell(entry)

    async def push(self, entry: Entry, path: str, body: Raw) -> None:
        """PUTs JSON to a pod's report port, and asks it what it is now; PushFailed if it did not take it."""
        if not _reports(entry):
            raise PushFailed(f"pod {entry.place[2]} does not listen for PUT {path} yet")
        base, headers = await self._way.to(entry, self._token(entry))
        await push(self._session, entry.place[2], base, path, headers, body)
        if answer := self._answers.get(entry.uid):
            answer.due = 0.0


def _share(uid: str) -> float:
    """A number in [0, 1) that tells one pod from another."""
    return int(hashlib.sha256(uid.encode()).hexdigest()[:8], 16) / 2**32


def _reports(entry: Entry) -> bool:
    pod = entry.pod
    return pod is not None and pod.phase == PodPhase.RUNNING and PORT in pod.ports and bool(pod.address)
