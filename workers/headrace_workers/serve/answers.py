"""The small HTTP manners that every serving role shares: refusals in a sentence, the bearer's token, the report.

No role's own behaviour belongs here.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from headrace.api.run_report import RunReport
from headrace_workers.pod import shows_token

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(status: int, sentence: str, *, retry_after_seconds: int | None = None) -> web.Response:
    """An answer that says what is wrong and what to do next."""
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return web.json_response({"error": sentence}, status=status, headers=headers)


def guarded(token: str, handler: Handler) -> Handler:
    """The handler behind the pod's token; a pod without a token lets nobody in."""

    async def check(request: web.Request) -> web.StreamResponse:
        if not shows_token(request.headers, token):
            return refusal(401, "the pod's token is needed: send it as Authorization: Bearer <token>")
        return await handler(request)

    return check


def report_answer(report: RunReport) -> web.Response:
    """The report as the operator reads it."""
    return web.Response(text=report.model_dump_json(by_alias=True, exclude_none=True), content_type="application/json")
