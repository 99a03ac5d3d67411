"""The live reports of pods on a cluster: every running pod with a report port is asked every few seconds, in turn.

The turns are spread over the period, and a pod that does not answer is asked less and less often.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp

from headrace.api.run_report import RunReport
from headrace.kube.memory import Entry
from headrace.plan.values import PodPhase, Raw
from headrace.reports import PORT, PushFailed, fetch, push

logger = logging.getLogger(__name__)

PULL_SECONDS = 2.0
SLOWEST_SECONDS = 30.0
AT_ONCE = 32


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
    ) -> None:
        """`entries` gives all pods that are known, `tell` is called with the one whose report is new."""
        self._session = session
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
            report = await fetch(self._session, entry.place[2], _base(entry), self._token(entry))
        answer.silences = 0 if report else answer.silences + 1
        pause = min(PULL_SECONDS * 2.0 ** min(max(answer.silences - 3, 0), 10), SLOWEST_SECONDS)
        answer.due = asyncio.get_running_loop().time() + pause * (0.9 + 0.2 * _share(entry.uid))
        if report is not None and report != answer.report:
            answer.report = report
            self._tell(entry)

    async def push(self, entry: Entry, path: str, body: Raw) -> None:
        """PUTs JSON to a pod's report port, and asks it what it is now; PushFailed if it did not take it."""
        if not _reports(entry):
            raise PushFailed(f"pod {entry.place[2]} does not listen for PUT {path} yet")
        await push(self._session, entry.place[2], _base(entry), path, self._token(entry), body)
        if answer := self._answers.get(entry.uid):
            answer.due = 0.0


def _share(uid: str) -> float:
    """A number in [0, 1) that tells one pod from another."""
    return int(hashlib.sha256(uid.encode()).hexdigest()[:8], 16) / 2**32


def _reports(entry: Entry) -> bool:
    pod = entry.pod
    return pod is not None and pod.phase == PodPhase.RUNNING and PORT in pod.ports and bool(pod.address)


def _base(entry: Entry) -> str:
    assert entry.pod is not None
    address = f"[{entry.pod.address}]" if ":" in entry.pod.address else entry.pod.address
    return f"http://{address}:{entry.pod.ports[PORT]}"
