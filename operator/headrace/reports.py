"""Asking a pod how far it is, and telling it something: one HTTP exchange on its report port.

What it is sent besides has the run's token: `bearer`, or what the way to the pod asks for.
"""

import logging
from collections.abc import Mapping

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


async def fetch(session: aiohttp.ClientSession, pod: str, base: str, headers: Mapping[str, str]) -> RunReport | None:
    """The live report of the pod that listens at `base` (http://host:port, or a path before it); None if it gives none now."""
    try:
        async with session.get(f"{base}/report", headers=headers, timeout=TIMEOUT) as answer:
            if answer.status != 200 or (answer.content_length or 0) > REPORT_BYTES_MAX:
                refused = answer.status == 403  # no pod's word: who stands before it lets nobody through
                logger.log(
                    logging.WARNING if refused else logging.DEBUG, "%s answers /report with %s", pod, answer.status
                )
                return None
            return RunReport.model_validate_json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
        # It may not listen yet, or not any more; its process tells more than its silence.
        logger.debug("no report from %s: %s", pod, error)
        return None


async def push(
    session: aiohttp.ClientSession, pod: str, base: str, path: str, headers: Mapping[str, str], body: Raw
) -> None:
    """PUTs JSON to a pod; PushFailed if it did not take it."""
    try:
        async with session.put(f"{base}{path}", json=body, headers=headers, timeout=TIMEOUT) as answer:
            if answer.status >= 300:
                said = (await answer.text())[:300]
                raise PushFailed(f"pod {pod} answered PUT {path} with {answer.status}: {said}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise PushFailed(f"pod {pod} cannot be told PUT {path} now: {error or type(error).__name__}") from error


def bearer(token: str) -> dict[str, str]:
    """The headers that show a run's token to its pod."""
    return {"Authorization": f"Bearer {token}"} if token else {}
