"""Asking a pod how far it is, and telling it something: one HTTP exchange on its report port with the run's token."""

import logging

import aiohttp
from pydantic import ValidationError

from headrace.api.run_report import RunReport
from headrace.cluster import Unavailable
from headrace.plan.values import Raw

logger = logging.getLogger(__name__)

PORT = "report"
"""The name of the container port."""
TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)
REPORT_BYTES_MAX = 2**20


class PushFailed(Unavailable):
    """A pod did not take what it was told; the queue tries again."""


async def fetch(session: aiohttp.ClientSession, pod: str, base: str, token: str) -> RunReport | None:
    """The live report of the pod that listens at `base` (http://host:port); None if it gives none now."""
    try:
        async with session.get(f"{base}/report", headers=_headers(token), timeout=TIMEOUT) as answer:
            if answer.status != 200 or (answer.content_length or 0) > REPORT_BYTES_MAX:
                logger.debug("%s answers /report with %s", pod, answer.status)
                return None
            return RunReport.model_validate_json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
        # It may not listen yet, or not any more; its process tells more than its silence.
        logger.debug("no report from %s: %s", pod, error)
        return None


async def push(session: aiohttp.ClientSession, pod: str, base: str, path: str, token: str, body: Raw) -> None:
    """PUTs JSON to a pod; PushFailed if it did not take it."""
    try:
        async with session.put(f"{base}{path}", json=body, headers=_headers(token), timeout=TIMEOUT) as answer:
            if answer.status >= 300:
                said = (await answer.text())[:300]
                raise PushFailed(f"pod {pod} answered PUT {path} with {answer.status}: {said}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PushFailed(f"pod {pod} cannot be told PUT {path} now: {error or type(error).__name__}") from error


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
