"""The one loop for every kind: observe, plan, save the decision, then act on it."""

import logging
from collections.abc import Callable
from datetime import datetime

from headrace.api.meta import Condition, ObjectKey
from headrace.cluster import Cluster
from headrace.plan.plan import plan
from headrace.plan.values import transitions

logger = logging.getLogger(__name__)


async def reconcile(
    cluster: Cluster, key: ObjectKey, now: datetime, tell: Callable[[ObjectKey, Condition], None] | None = None
) -> float | None:
    """One pass over one object; returns the seconds after which to look again, or None to wait for an event.

    Raises Conflict when the object changed meanwhile, and whatever the cluster raises when it cannot be reached:
    the queue looks again after a pause.
    """
    observed = await cluster.observe(key)
    if observed is None:
        return None
    planned = plan(observed, now)
    if planned.status != observed.object.status or planned.actions:
        await cluster.save_status(observed, planned.status)
    for condition in transitions(observed.object.status.conditions, planned.status.conditions):
        logger.info("%s: %s=%s %s: %s", key, condition.type, condition.status, condition.reason, condition.message)
        if tell:
            tell(key, condition)
    for action in planned.actions:
        await cluster.apply(observed, action)
    return planned.requeue_after
