"""Loops that are wrong on purpose, in ways that look harmless: the simulation is worth something only if it catches them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from headrace.api.meta import ObjectKey
from headrace.api.status import Phase, RunStatus
from headrace.cluster import Cluster
from headrace.plan.plan import plan
from headrace.plan.values import Action, Create, Delete, Plan

DECISIONS_AHEAD = 4


async def act_before_saving(cluster: Cluster, key: ObjectKey, now: datetime) -> float | None:
    """Decides as far ahead as it can, acts on that, and saves the decisions last: law 2 the other way round."""
    observed = await cluster.observe(key)
    if observed is None:
        return None
    planned = plan(observed, now)
    for _ in range(DECISIONS_AHEAD):
        ahead = replace(observed, object=observed.object.model_copy(update={"status": planned.status}))
        planned = plan(ahead, now)
    for action in planned.actions:
        await cluster.apply(observed, action)
    await cluster.save_status(observed, planned.status)
    return planned.requeue_after


async def name_pods_by_the_time(cluster: Cluster, key: ObjectKey, now: datetime) -> float | None:
    """Gives every pod a name that no other ever had, so that AlreadyExists protects nothing: law 3 broken."""
    return await _changed(
        cluster,
        key,
        now,
        lambda planned: replace(planned, actions=tuple(_renamed(action, now) for action in planned.actions)),
    )


async def never_delete(cluster: Cluster, key: ObjectKey, now: datetime) -> float | None:
    """Leaves the pods of earlier attempts to themselves."""
    return await _changed(
        cluster,
        key,
        now,
        lambda planned: replace(
            planned, actions=tuple(action for action in planned.actions if not isinstance(action, Delete))
        ),
    )


async def believe_in_progress(cluster: Cluster, key: ObjectKey, now: datetime) -> float | None:
    """Says Complete as soon as the last step is reported, before the head has said so."""
    return await _changed(cluster, key, now, _complete_early)


async def count_anew(cluster: Cluster, key: ObjectKey, now: datetime) -> float | None:
    """Forgets the restarts as soon as an attempt runs, as a counter in memory does when the operator is replaced."""
    return await _changed(cluster, key, now, _without_restarts)


WRONG_LOOPS = (act_before_saving, name_pods_by_the_time, never_delete, believe_in_progress, count_anew)


async def _changed(cluster: Cluster, key: ObjectKey, now: datetime, change: Callable[[Plan], Plan]) -> float | None:
    observed = await cluster.observe(key)
    if observed is None:
        return None
    planned = change(plan(observed, now))
    await cluster.save_status(observed, planned.status)
    for action in planned.actions:
        await cluster.apply(observed, action)
    return planned.requeue_after


def _renamed(action: Action, now: datetime) -> Action:
    if not isinstance(action, Create) or action.manifest["kind"] != "Pod":
        return action
    metadata = action.manifest["metadata"]
    return Create({**action.manifest, "metadata": {**metadata, "name": f"{metadata['name']}-{now.timestamp():.0f}"}})


def _complete_early(planned: Plan) -> Plan:
    status = planned.status
    early = isinstance(status, RunStatus) and status.phase == Phase.RUNNING and status.percent == 100
    return replace(planned, status=status.model_copy(update={"phase": Phase.COMPLETE})) if early else planned


def _without_restarts(planned: Plan) -> Plan:
    status = planned.status
    running = isinstance(status, RunStatus) and status.phase == Phase.RUNNING
    return replace(planned, status=status.model_copy(update={"restarts": 0})) if running else planned
