"""Watching objects that an operator works on: how they stand, what is news, and when nothing more is to be waited for."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cli.errors import Sentence
from headrace.cli.news import News
from headrace.cli.on_cluster.objects import fetch, readable, unreadable
from headrace.cli.on_cluster.session import Session, may_pass
from headrace.cli.screen import Screen
from headrace.cli.standing import is_over, standing
from headrace.cli.supervise import End, sleep_unless
from headrace.cli.view import Row, display_order, row, shown_name
from headrace.cli.words import duration
from headrace.plan.values import transitions

LOOK_SECONDS = 1.0
UNHEARD_SECONDS = 90.0
"""For so long the API server may fail to answer before it is given up."""
UNSEEN_SECONDS = 20.0
"""After so long an operator has looked at what was applied, where one is at work."""

Objects = Mapping[ObjectKey, HeadraceObject]


@dataclass(frozen=True)
class Watch:
    """What is waited for, how it stood before, and for how long."""

    given: frozenset[ObjectKey]
    before: Objects
    timeout_seconds: float | None = None


async def watch(
    session: Session, wanted: Watch, screen: Screen, stop: asyncio.Event
) -> tuple[End, list[HeadraceObject]]:
    """Looks until the given objects are settled, the time is over or `stop` is set; the objects as last seen."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + wanted.timeout_seconds if wanted.timeout_seconds is not None else math.inf
    view = _View(session, wanted, screen)
    looking = asyncio.create_task(view.keep_up())
    try:
        while not stop.is_set():
            if looking.done():
                looking.result()
            screen.show(view.rows())
            if view.is_over():
                return End.OVER, view.everything()
            if clock() >= deadline:
                return End.TIMED_OUT, view.everything()
            await sleep_unless(stop)
        return End.STOPPED, view.everything()
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


class _View:
    """The objects as last seen, and what has been told of them."""

    def __init__(self, session: Session, wanted: Watch, screen: Screen) -> None:
        self._session = session
        self._wanted = wanted
        self._screen = screen
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._objects: Objects | None = None
        self._news = News()
        self._unseen_told = False

    async def keep_up(self) -> None:
        """Looks again and again; gives up once the API server has not answered for long, or says no."""
        from headrace.kube.client import ApiError

        heard = self._clock()
        warned = False
        while True:
            try:
                found = await fetch(self._session, {key.namespace for key in self._wanted.given})
            except ApiError as error:
                if not may_pass(error) or self._clock() - heard > UNHEARD_SECONDS:
                    raise
                if not warned:
                    self._screen.say(f"warning: {self._session.server}: {error.message}; asking again")
                warned = True
            else:
                heard, warned = self._clock(), False
                for one in found:
                    if one.object is None and one.key in self._wanted.given:
                        raise Sentence(unreadable(one))
                self._saw({one.key: one for one in readable(found)})
            await asyncio.sleep(LOOK_SECONDS)

    def rows(self) -> list[Row]:
        """How the given objects stand, for the screen."""
        return [row(one, datetime.now(UTC)) for one in self._given()]

    def is_over(self) -> bool:
        """Whether nothing more is to be waited for."""
        objects = self._objects
        return objects is not None and is_over([standing(one, objects) for one in self._given()], until_ready=True)

    def everything(self) -> list[HeadraceObject]:
        """Every object of the namespaces."""
        return list((self._objects or {}).values())

    def _given(self) -> list[HeadraceObject]:
        objects = self._objects or {}
        return sorted((objects[key] for key in self._wanted.given if key in objects), key=display_order)

    def _saw(self, objects: Objects) -> None:
        before = self._wanted.before if self._objects is None else self._objects
        self._objects = objects
        for one in self._given():
            old = before.get(one.key)
            for condition in transitions(old.status.conditions if old else (), one.status.conditions):
                if line := self._news.line(one.key, condition, one):
                    self._screen.say(line)
        self._tell_unseen()

    def _tell_unseen(self) -> None:
        """Says once that no operator is at work."""
        unseen = [one for one in self._given() if one.status.observed_generation < one.metadata.generation]
        if self._unseen_told or not unseen or self._clock() - self._started < UNSEEN_SECONDS:
            return
        self._unseen_told = True
        self._screen.say(
            f"warning: no operator has looked at {unseen[0].key.kind} {shown_name(unseen[0].key)} for {duration(UNSEEN_SECONDS)}; "
            f"see that one runs and serves this namespace: kubectl get pods -A -l app.kubernetes.io/name=headrace"
        )
