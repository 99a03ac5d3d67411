"""Alerts on their way to webhooks, by a thread of its own: the stream never waits for them.

Each is posted as JSON, with its id as Idempotency-Key: a stream that was killed may post one again. An address that is
down is asked again a few times; what it never took is counted. Addresses come from Secrets and are told to nobody.
"""

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.api import environment
from headrace.api.data_pipeline import Alert
from headrace_workers.data.alerts.raising import Raised
from headrace_workers.faults import RunFault

MOST_WAITING = 1000
TRIES = 4
FIRST_PAUSE_SECONDS = 0.5
"""Before the second try; it doubles with each."""
ANSWER_SECONDS = 5.0
AGAIN = frozenset({408, 425, 429})
"""What a webhook answers that may take the same post later; so may one that fails (5xx)."""

logger = logging.getLogger(__name__)


def addresses(alerts: Sequence[Alert], environ: Mapping[str, str]) -> dict[int, str]:
    """Where each alert is posted, by its place; RunFault if a Secret did not give an address."""
    found: dict[int, str] = {}
    for place, alert in enumerate(alerts):
        if alert.webhook is None:
            continue
        address = alert.webhook.uri
        if secret := alert.webhook.secret:
            variable = environment.webhook_variable(place)
            address = environ.get(variable, "").strip()
            if not address.startswith(("http://", "https://")):
                raise RunFault(
                    "WebhookMissing",
                    f"alerts[{place}].webhook: the key {secret.key} of the Secret {secret.name} holds no address that starts with https:// (in local mode, the variable {variable}); put one there",
                )
        assert address
        found[place] = address
    return found


class Webhooks:
    """Posts alerts in the background."""

    def __init__(self, pipeline: str, by_place: Mapping[int, str]) -> None:
        """`pipeline` is told with each alert; `by_place` are the addresses."""
        self._pipeline, self._addresses = pipeline, dict(by_place)
        self._waiting: queue.Queue[Raised] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._undelivered, self._problem = 0, ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._post_all, name="webhooks", daemon=True)
        if self._addresses:
            self._thread.start()

    @property
    def undelivered(self) -> tuple[int, str]:
        """How many posts were given up, and why the last one was, in a sentence."""
        with self._lock:
            return self._undelivered, self._problem

    def tell(self, raised: Sequence[Raised]) -> None:
        """Has those posted that have an address."""
        for one in raised:
            if one.place not in self._addresses:
                continue
            try:
                self._waiting.put_nowait(one)
            except queue.Full:
                self._give_up(one, f"{MOST_WAITING} alerts waited already")

    def close(self, seconds: float) -> None:
        """Waits so long for what is still to be posted; what is left then is given up."""
        ends = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.02)
        self._closing.set()

    def _post_all(self) -> None:
        import requests

        # One connection for each address is kept, and no redirect leads an alert elsewhere.
        with requests.Session() as session:
            while not self._closing.is_set():
                one = self._waiting.get()
                try:
                    if problem := self._post(session, one):
                        self._give_up(one, problem)
                finally:
                    self._waiting.task_done()

    def _post(self, session: Any, one: Raised) -> str:
        """Why it was not taken; empty if it was."""
        import requests

        body = {"pipeline": self._pipeline, "value": one.value, **one.told.wire()}
        problem, pause = "", FIRST_PAUSE_SECONDS
        for attempt in range(TRIES):
            if attempt and self._closing.wait(pause * 2 ** (attempt - 1)):
                return problem
            try:
                answer = session.post(
                    self._addresses[one.place],
                    json=body,
                    headers={"Idempotency-Key": one.told.id},
                    timeout=ANSWER_SECONDS,
                    allow_redirects=False,
                )
            except requests.exceptions.RequestException as error:
                problem = f"it cannot be reached ({type(error).__name__})"
                continue
            if 200 <= answer.status_code < 300:
                return ""
            problem = f"it answered {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in AGAIN:
                return problem
        return problem

    def _give_up(self, one: Raised, problem: str) -> None:
        sentence = f"the webhook of alert {one.told.alert} did not take {one.told.id}: {problem}; see whether it runs, and whether the run's NetworkPolicy lets its address through (the operator's setting egress)"
        logger.warning("%s", sentence)
        with self._lock:
            self._undelivered += 1
            self._problem = sentence[:512]
