"""`headrace logs` on a cluster: what an object's pods wrote, as long as the pods are there."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.api.status import FINISHED
from headrace.cli.errors import Sentence
from headrace.cli.logs import choose, newest_head
from headrace.cli.on_cluster.objects import Found, fetch, nothing_here
from headrace.cli.on_cluster.session import Session, open_session
from headrace.cli.references import find_key, spell
from headrace.cli.target import Target
from headrace.plan import labels
from headrace.plan.values import Raw

LOOK_AGAIN_SECONDS = 1.0
SILENCE_SECONDS = 60.0
"""Of a log that is not followed."""


class NotStarted(Exception):
    """The pod has no log yet."""


def show_logs(target: Target, name: str, pod: str | None, *, follow: bool) -> None:
    """Prints the logs chosen; with `follow`, until the object has finished or the command is interrupted."""
    asyncio.run(_show_logs(target, name, pod, follow=follow))


async def _show_logs(target: Target, name: str, pod: str | None, *, follow: bool) -> None:
    async with open_session(target) as session:
        found = await fetch(session, [session.namespace])
        empty = "" if found else await nothing_here(session)
        key = find_key(name, [one.key for one in found], empty)
        wanted = _Wanted(session, next(one for one in found if one.key == key), pod)
        await (_follow(wanted) if follow else _print(wanted))


@dataclass(frozen=True)
class _Wanted:
    """Whose logs are meant."""

    session: Session
    owner: Found
    pod: str | None

    async def pods(self) -> Mapping[str, Raw]:
        """The pods meant, by name, as there are now."""
        return choose(await pods_of(self.session, self.owner), self.owner.key, self.pod)

    def path(self, name: str) -> str:
        """The path of a pod's log."""
        return log_path(self.owner, name)


async def pods_of(session: Session, owner: Found) -> list[tuple[str, Raw]]:
    """(name, pod) of an object's pods, the newest at the end."""
    from headrace.kube.resources import POD

    selector = f"{labels.UID}={owner.raw['metadata']['uid']}"
    items = (await session.api.list(POD, owner.key.namespace, selector=selector, metadata_only=True)).items
    named = [(str(raw["metadata"]["name"]), raw) for raw in items]
    return sorted(named, key=lambda pod: (pod[1]["metadata"]["creationTimestamp"], pod[0]))


def log_path(owner: Found, pod: str) -> str:
    """The path of a pod's log."""
    from headrace.kube.resources import POD

    return POD.path(owner.key.namespace, pod, "log")


async def _print(wanted: _Wanted) -> None:
    chosen = await wanted.pods()
    told = wanted.session.command(f"status {spell(wanted.owner.key)}")
    if not chosen:
        raise Sentence(
            f"{spell(wanted.owner.key)} has no pod now, and logs go with their pods; `{told}` says how it stands"
        )
    for name in chosen:
        try:
            await _copy(wanted, name, prefixed=len(chosen) > 1, follow=False)
        except NotStarted as error:
            if len(chosen) == 1:
                raise Sentence(f"{error}; `{told}` says why") from error
            print(f"{name}: {error}", file=sys.stderr)


async def _follow(wanted: _Wanted) -> None:
    """Goes on with the next attempt's pod, until the object has finished and all has been copied."""
    copying: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            finished = await _is_finished(wanted)
            chosen = await wanted.pods()
            # Without a head there may be more pods later, so the first one's lines have its name too.
            several = len(chosen) > 1 or (wanted.pod is None and newest_head(list(chosen.items())) is None)
            for name, raw in chosen.items():
                task = copying.get(raw["metadata"]["uid"])
                if task is not None and task.done() and isinstance(task.exception(), NotStarted):
                    task = None
                if task is None:
                    task = asyncio.create_task(_copy(wanted, name, prefixed=several, follow=True))
                    copying[raw["metadata"]["uid"]] = task
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            for task in copying.values():
                if task.done() and not isinstance(task.exception(), NotStarted):
                    task.result()
            if finished and all(task.done() for task in copying.values()):
                return
    finally:
        for task in copying.values():
            task.cancel()
        await asyncio.gather(*copying.values(), return_exceptions=True)


async def _is_finished(wanted: _Wanted) -> bool:
    """Whether no other pod will come; Sentence where the object itself is gone."""
    from headrace.kube.resources import BY_KIND

    key, uid = wanted.owner.key, wanted.owner.raw["metadata"]["uid"]
    now = (await wanted.session.api.list(BY_KIND[str(key.kind)], key.namespace, name=key.name)).items
    if not now or now[0]["metadata"]["uid"] != uid:
        raise Sentence(f"{spell(key)} was deleted, and its logs with it")
    return (now[0].get("status") or {}).get("phase") in FINISHED


async def _copy(wanted: _Wanted, name: str, *, prefixed: bool, follow: bool) -> None:
    """Copies a pod's log to standard output, line by line where a prefix tells several apart."""
    from headrace.kube.client import NotFound, Refused

    query = {"follow": "true"} if follow else {}
    pieces = wanted.session.api.stream(wanted.path(name), query, None if follow else SILENCE_SECONDS)
    out, prefix, rest = sys.stdout.buffer, f"{name}: ".encode(), b""
    try:
        async for piece in pieces:
            if prefixed:
                *lines, rest = (rest + piece).split(b"\n")
                out.writelines(prefix + line + b"\n" for line in lines)
            else:
                out.write(piece)
            out.flush()
        if rest:
            out.write(prefix + rest + b"\n")
            out.flush()
    except NotFound as error:
        raise NotStarted(f"the pod {name} has gone meanwhile") from error
    except Refused as error:
        if error.code != 400:
            raise
        raise NotStarted(f"the pod {name} has no log yet: {error.message}") from error
