"""What an API server answers on a bad day: a share of requests fails, before or after it did what it was asked."""

import random
from collections import Counter

from aiohttp import web

RETRY_AFTER_SECONDS = 1
REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
READS = (429, 500, 503)
WRITES = (409, 429, 500, 503)
LOST = (500, 503)
"""What is answered to a write that was carried out."""


class BadDay:
    """Draws from one seed; what it answered is in `answered`."""

    def __init__(self, seed: int, share: float) -> None:
        self._random = random.Random(seed)
        self._share = share
        self.answered: Counter[str] = Counter()

    def refuse(self, request: web.Request) -> web.Response | None:
        """An answer instead of the API server's."""
        return self._perhaps(request.method, READS if request.method == "GET" else WRITES, "")

    def lose(self, request: web.Request) -> web.Response | None:
        """An answer that hides that the write was carried out."""
        return self._perhaps(request.method, LOST, " after it was done")

    def _perhaps(self, method: str, codes: tuple[int, ...], when: str) -> web.Response | None:
        if self._random.random() >= self._share:
            return None
        code = self._random.choice(codes)
        self.answered[f"{method} {code}{when}"] += 1
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": REASONS[code], "message": "a bad day"}  # fmt: skip
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if code == 429 else None
        return web.json_response(status, status=code, headers=headers)
