"""Looks past the watches: lists every resource now and then, mends what a watch missed, and tells when one is stale.

A watch can go silent without an error, and a list after a gap does not name what was deleted in it. A sweep compares
identities and versions only; what differs is fetched whole.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from headrace.cluster import Unavailable
from headrace.kube.client import Api, NotFound, Refused
from headrace.kube.cluster import KubeCluster
from headrace.kube.memory import Entry, Place
from headrace.kube.resources import SWEPT, WATCHED, Resource
from headrace.plan.values import Raw

logger = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
SOON_SECONDS = 10.0
"""What a sweep finds missing is looked for again after this: by then a watch that works has told of it."""
BLIND_SECONDS = 75.0
"""After so long without a sweep that succeeded, nothing is known of the cluster any more."""


class Sweep:
    """Compares what is remembered with what there is."""

    def __init__(
        self,
        api: Api,
        cluster: KubeCluster,
        namespaces: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`namespaces` is empty for all of them."""
        self._api = api
        self._cluster = cluster
        self._places = tuple(namespaces) or (None,)
        self._clock = clock
        self._done = -float("inf")
        self._behind: dict[Resource, dict[Place, int]] = {}
        self._stale: dict[Resource, float] = {}

    @property
    def done_once(self) -> bool:
        """Whether everything that there is has been seen once."""
        return self._done > -float("inf")

    def troubles(self) -> list[str]:
        """Why the operator does not see the cluster as it is, in sentences; none when it does."""
        found = [
            f"the watch of {resource.plural} is stale: it has told nothing since a list {self._clock() - since:.0f} s ago knew more"
            for resource, since in self._stale.items()
        ]
        if self.done_once and self._clock() - self._done > BLIND_SECONDS:
            found.append(f"the API server has not answered for {self._clock() - self._done:.0f} s")
        return found

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                await self.once()
                await asyncio.sleep(SOON_SECONDS)
                await self.look_again()
            except Unavailable as error:
                logger.warning("the cluster cannot be swept now: %s", error)
            await asyncio.sleep(EVERY_SECONDS - SOON_SECONDS if self.done_once else 1.0)

    def hearing(self, take: Callable[[Raw], None]) -> Callable[[Raw], None]:
        """What a watch is to call in the place of `take`: whoever tells is not stale."""

        def heard(raw: Raw) -> None:
            self._stale = {resource: since for resource, since in self._stale.items() if resource.kind != raw["kind"]}
            take(raw)

        return heard

    async def once(self, *, at_once: bool = False) -> None:
        """One comparison of everything; `at_once` fetches what differs without giving the watches time to tell."""
        started = self._clock()
        for resource in SWEPT:
            await self._compare(resource, at_once=at_once or not self.done_once)
        for resource in sorted(self._cluster.pod_groups(), key=lambda each: each.group):
            await self._compare_if_served(resource)
        self._cluster.doubt_old_secrets()
        self._cluster.forget_leftovers()
        self._done = started

    async def look_again(self) -> None:
        """Compares once more what was not as remembered."""
        for resource in [resource for resource, missing in self._behind.items() if missing]:
            await self._compare(resource, at_once=False)

    async def _compare_if_served(self, resource: Resource) -> None:
        """What a cluster may do without is no trouble where it is missing, or where the operator may not look at it."""
        try:
            await self._compare(resource, at_once=True)
        except NotFound:
            for entry in self._cluster.entries():
                if _is_one_of(resource, entry):
                    self._cluster.forget(entry.place, entry.uid)
        except Refused as refused:
            logger.info("%s of %s cannot be listed: %s", resource.plural, resource.group, refused.message)

    async def _compare(self, resource: Resource, *, at_once: bool) -> None:
        seen: dict[Place, tuple[str, int]] = {}
        listed_at: dict[str | None, int] = {}
        for namespace in self._places:
            listing = await self._api.list(resource, namespace, metadata_only=True)
            listed_at[namespace] = listing.version
            for item in listing.items:
                if resource not in WATCHED:
                    # Their metadata is all that is remembered of them.
                    self._cluster.saw(item)
                metadata = item["metadata"]
                place = (resource.kind, metadata["namespace"], metadata["name"])
                seen[place] = (metadata["uid"], int(metadata["resourceVersion"]))
        if not seen:
            # There is nothing that a watch could tell of.
            self._stale.pop(resource, None)
        known = {entry.place: entry for entry in self._cluster.entries() if _is_one_of(resource, entry)}
        for place, entry in known.items():
            there = seen.get(place)
            written_later = entry.version > listed_at.get(place[1], listed_at.get(None, 0))
            if (there is None or there[0] != entry.uid) and not written_later:
                logger.info("%s %s/%s is gone, which no watch told", *place)
                self._cluster.forget(place, entry.uid)
        missing = {place: version for place, (_, version) in seen.items() if place not in known or known[place].version < version}  # fmt: skip
        await self._catch_up(resource, missing, at_once=at_once)

    async def _catch_up(self, resource: Resource, missing: dict[Place, int], *, at_once: bool) -> None:
        """Fetches what was already missing at the last sweep too: what a watch tells meanwhile needs no help."""
        before = self._behind.get(resource, {})
        late = {place for place, version in missing.items() if before.get(place) == version}
        overdue = set(missing) if at_once or resource in self._stale else late
        if late:
            logger.warning("the watch of %s has missed %d changes; they are fetched", resource.plural, len(late))
            self._stale.setdefault(resource, self._clock())
        if overdue:
            for namespace in self._places:
                for item in (await self._api.list(resource, namespace)).items:
                    self._cluster.saw(item)
        self._behind[resource] = {place: version for place, version in missing.items() if place not in overdue}


def _is_one_of(resource: Resource, entry: Entry) -> bool:
    """By the kind, and of PodGroups by their API too: there are several."""
    return entry.place[0] == resource.kind and not (
        resource.lacking and entry.raw and entry.raw["apiVersion"] != resource.api_version
    )
