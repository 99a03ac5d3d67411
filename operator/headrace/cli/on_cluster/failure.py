"""Why objects on a cluster did not succeed: the sentence of the condition, and the last lines of the newest head's log."""

from headrace.api.objects import HeadraceObject
from headrace.cli.failure import TOLD_LINES, failure_lines, with_tail
from headrace.cli.logs import newest_head
from headrace.cli.on_cluster.logs import log_path, pods_of
from headrace.cli.on_cluster.objects import Found
from headrace.cli.on_cluster.session import Session
from headrace.cli.outcome import Outcome
from headrace.cli.references import spell
from headrace.cli.standing import Standing

SILENCE_SECONDS = 10.0


async def failed_lines(session: Session, outcome: Outcome) -> list[str]:
    """What to tell of each object that failed or can never start."""
    lines: list[str] = []
    for resource in outcome.failed:
        tail = await _tail(session, resource) if outcome.standings[resource.key] == Standing.FAILED else []
        where = f"  log: {session.command(f'logs {spell(resource.key)}')}"
        lines += ["", *(with_tail(resource, where, tail) if tail else failure_lines(resource, None))]
    return lines


async def _tail(session: Session, resource: HeadraceObject) -> list[str]:
    """The last lines of the newest head's log; none where there is none any more: the condition has told the reason."""
    from headrace.kube.client import ApiError

    owner = Found(resource.key, {"metadata": {"uid": resource.metadata.uid}}, resource)
    try:
        head = newest_head(await pods_of(session, owner))
        if head is None:
            return []
        pieces = session.api.stream(log_path(owner, head[0]), {"tailLines": str(TOLD_LINES)}, SILENCE_SECONDS)
        return b"".join([piece async for piece in pieces]).decode(errors="replace").splitlines()
    except ApiError:
        return []
