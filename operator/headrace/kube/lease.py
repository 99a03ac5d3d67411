"""Which replica of the operator works: the one that holds a Lease, and only while it surely does.

The algorithm is client-go's (observe another's lease for its whole duration on one's own clock before taking it). What
it adds is the fence: `held` turns false on the holder's own clock before anybody else may take the lease.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.cluster import Unavailable
from headrace.kube.client import Api, Exists, NotFound, Stale
from headrace.kube.resources import LEASE
from headrace.plan.values import Raw

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds: how long a lease lasts, after how long unrenewed its holder stops writing, how often either side looks."""

    duration: float = 15.0
    renew_within: float = 9.0
    look_every: float = 2.0


class Lease:
    """One candidate for one lease."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing = Timing(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Holds nothing before `run`."""
        self._api = api
        self._namespace, self._name, self._identity = namespace, name, identity
        self._timing = timing
        self._clock = clock
        self._renewed = -float("inf")
        self._seen: tuple[str, float] | None = None
        """The last renewal that was seen of another holder, and when on our own clock."""

    @property
    def held(self) -> bool:
        """Whether writes are allowed now."""
        return self._clock() < self._renewed + self._timing.renew_within

    async def run(self, gained: Callable[[], None]) -> None:
        """Takes and renews the lease until cancelled, then gives it back; tells when it was gained."""
        leading = False
        try:
            while True:
                await self._look()
                if self.held and not leading:
                    logger.info("%s holds the lease %s/%s", self._identity, self._namespace, self._name)
                    leading = True
                    gained()
                elif leading and not self.held:
                    logger.warning("%s lost the lease %s/%s", self._identity, self._namespace, self._name)
                    leading = False
                await asyncio.sleep(self._timing.look_every)
        finally:
            if self.held:
                with contextlib.suppress(Unavailable, asyncio.CancelledError):
                    await asyncio.shield(self._give_back())

    async def _look(self) -> None:
        started = self._clock()
        try:
            if await self._take_or_renew():
                self._renewed = started
        except Stale:
            logger.debug("another replica wrote the lease first")
        except Unavailable as error:
            logger.warning("the lease %s/%s cannot be renewed now: %s", self._namespace, self._name, error)

    async def _take_or_renew(self) -> bool:
        try:
            lease = await self._api.get(LEASE.path(self._namespace, self._name))
        except NotFound:
            with contextlib.suppress(Exists):
                await self._api.create(LEASE.path(self._namespace), self._manifest(None))
                return True
            return False
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and not self._is_over(spec):
            return False
        await self._api.update(LEASE.path(self._namespace, self._name), self._manifest(lease))
        return True

    def _is_over(self, spec: Raw) -> bool:
        renewal = f"{spec.get('holderIdentity')} {spec.get('renewTime')}"
        if self._seen is None or self._seen[0] != renewal:
            self._seen = (renewal, self._clock())
            return False
        return self._clock() >= self._seen[1] + float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def _manifest(self, there: Raw | None, holder: str | None = None) -> Raw:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        before = (there or {}).get("spec") or {}
        mine = before.get("holderIdentity") == self._identity
        # What others wrote into its metadata, as Helm does, stays.
        metadata = there["metadata"] if there else {"name": self._name, "namespace": self._namespace}
        return {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity if holder is None else holder,
                "leaseDurationSeconds": max(1, round(self._timing.duration)),
                "acquireTime": before.get("acquireTime", now) if mine else now,
                "renewTime": now,
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine or not there else 1),
            },
        }  # fmt: skip

    async def _give_back(self) -> None:
        path = LEASE.path(self._namespace, self._name)
        lease = await self._api.get(path)
        if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
            self._renewed = -float("inf")
            await self._api.update(path, self._manifest(lease, holder=""))
