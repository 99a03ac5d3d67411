"""The one loop for every kind: observe, plan, save the decision, then act on it."""

import logging
from collections.abc import Callable
from datetime import datetime
from itertools import groupby

from headrace.api.meta import Condition, ObjectKey
from headrace.cluster import Cluster
from headrace.plan.plan import plan
from headrace.plan.values import Action, Create, Delete, Observed, transitions

logger = logging.getLogger(__name__)

SUMMARY = "Ready"


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
        if condition.type == SUMMARY:
            # Of the conditions that change together this one says what the others say.
            logger.info("%s: %s: %s", key, condition.reason, condition.message, extra={"key": key})
        if tell:
            tell(key, condition)
    await _act(cluster, observed, planned.actions)
    return planned.requeue_after


async def _act(cluster: Cluster, observed: Observed, actions: tuple[Action, ...]) -> None:
    """One action after the other, but that pods, which do not depend on each other, are made and deleted together."""
    for together, group in groupby(actions, key=_concerns_a_pod):
        if together:
            await cluster.apply_together(observed, tuple(group))
            continue
        for action in group:
            await cluster.apply(observed, action)


def _concerns_a_pod(action: Action) -> bool:
    match action:
        case Create():
            return bool(action.manifest["kind"] == "Pod")
        case Delete():
            return action.kind == "Pod"
    return False
