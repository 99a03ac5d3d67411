"""Kubernetes Events for what a person would want to see of an object: one for each condition that changed."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from headrace.api.meta import API_VERSION, Condition, ConditionStatus, ObjectKey
from headrace.cluster import Unavailable
from headrace.kube.client import Api, Exists
from headrace.kube.resources import EVENT
from headrace.plan.values import ROLLED_BACK, Raw

logger = logging.getLogger(__name__)

CONTROLLER = "headrace.dev/operator"
BOUND = 1000
"""Events that wait; when the API server is slow, later ones are dropped and counted."""
WORTH_TELLING = frozenset({
    "Complete", "Failed", "Suspended", "Recovered", "Stalled", "Straggling", "Alerting", "Ready", "Promoted", "Refused",
    ROLLED_BACK,
})  # fmt: skip
ENDS = frozenset({"Straggling"})
"""Of these a person would want to see the end, too."""
BAD = frozenset({"Alerting", "Failed", "Refused", "Stalled", "Straggling"})


class Events:
    """Posts events in the background; a lost one harms nobody."""

    def __init__(self, api: Api, instance: str, may_write: Callable[[], bool]) -> None:
        """`instance` names this replica."""
        self._api = api
        self._instance = instance
        self._may_write = may_write
        self._waiting: asyncio.Queue[Raw] = asyncio.Queue(BOUND)

    def tell(self, key: ObjectKey, uid: str, condition: Condition) -> None:
        """Has a changed condition posted, if it is one that a person would want to see."""
        if condition.type not in WORTH_TELLING:
            return
        if condition.status != ConditionStatus.TRUE and condition.type not in ENDS:
            return
        if condition.type == "Ready" and condition.reason == "Complete":
            return
        try:
            self._waiting.put_nowait(event(key, uid, condition, self._instance, datetime.now(UTC)))
        except asyncio.QueueFull:
            logger.warning("%s: the event %s is not posted; too many wait", key, condition.reason)

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            manifest = await self._waiting.get()
            if not self._may_write():
                continue
            try:
                await self._api.create(EVENT.path(manifest["metadata"]["namespace"]), manifest)
            except Exists:
                continue
            except Unavailable as error:
                logger.warning("an event could not be posted: %s", error)


def event(key: ObjectKey, uid: str, condition: Condition, instance: str, now: datetime) -> Raw:
    """The Event that tells of a condition; its name is a function of what it tells."""
    since = condition.last_transition_time.isoformat()
    told = f"{uid}/{condition.type}/{condition.reason}/{since}/{condition.message}"
    return {
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": f"{key.name}.{hashlib.sha256(told.encode()).hexdigest()[:16]}", "namespace": key.namespace},
        "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": CONTROLLER, "reportingInstance": instance[:128],
        "action": "Reconcile", "reason": condition.reason, "note": condition.message[:1024],
        "type": "Warning" if condition.type in BAD and condition.status == ConditionStatus.TRUE else "Normal",
        "regarding": {"apiVersion": API_VERSION, "kind": str(key.kind), "namespace": key.namespace, "name": key.name, "uid": uid},
    }  # fmt: skip
