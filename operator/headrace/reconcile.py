"""The one loop for every kind: observe, plan, save the decision, then act on it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from headrace.api.meta import Condition, ObjectKey
from headrace.cluster import ChildrenRefused, Cluster
from headrace.plan.plan import plan
from headrace.plan.values import Action, Apply, Create, Delete, Observed, Refusal, transitions

logger = logging.getLogger(__name__)

SUMMARY = "Ready"
LONGEST_REFUSAL_SECONDS = 30.0
"""What was refused is asked for again after a second, then two, then four, and so on up to this."""


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
    if planned.requeue_after == 0.0:
        # It decided, so that nothing was asked for.
        return 0.0
    refusals = await _act(cluster, observed, planned.actions, now)
    cluster.note_refusals(observed, refusals)
    if _told(refusals) != _told(observed.refusals):
        return 0.0
    return _soonest(planned.requeue_after, refusals, now)


async def _act(cluster: Cluster, observed: Observed, actions: tuple[Action, ...], now: datetime) -> tuple[Refusal, ...]:
    """One step after the other; returns what is refused. After a refusal nothing more is made, but what may go still goes."""
    known = {(refusal.kind, refusal.name): refusal for refusal in observed.refusals}
    refused: list[Refusal] = []
    for step in _steps(actions):
        blocked, asked = bool(refused), []
        for action in step:
            before = known.get(_child(action))
            if before and blocked:
                # Whether it is taken is asked when what stands before it is: it has no time of its own.
                refused.append(replace(before, ask_at=None))
            elif before and before.ask_at and now < before.ask_at:
                refused.append(before)
            elif not (blocked and isinstance(action, Create | Apply)):
                asked.append(action)
        try:
            await cluster.apply_together(observed, asked)
        except ChildrenRefused as refusal:
            refused += [_once_more(each, known.get((each.kind, each.name)), now) for each in refusal.refusals]
    return tuple(refused)


def _steps(actions: tuple[Action, ...]) -> Iterator[tuple[Action, ...]]:
    """Every action is a step, but that what does not depend on each other is done together."""
    for step, group in groupby(actions, key=_step):
        if step is None:
            yield from ((action,) for action in group)
        else:
            yield tuple(group)


def _step(action: Action) -> str | None:
    """What an action may be done together with: pods with pods, and what pods rest on with its like."""
    match action:
        case Create():
            return "pods" if action.manifest["kind"] == "Pod" else "before pods"
        case Delete() if action.kind == "Pod":
            return "pods"
    return None


def _child(action: Action) -> tuple[str, str]:
    """The kind and name of the child that an action makes."""
    match action:
        case Create() | Apply():
            return str(action.manifest["kind"]), str(action.manifest["metadata"]["name"])
    return "", ""


def _once_more(refusal: Refusal, before: Refusal | None, now: datetime) -> Refusal:
    times = before.times + 1 if before else 1
    pause = min(2.0 ** min(times - 1, 10), LONGEST_REFUSAL_SECONDS)
    return replace(refusal, times=times, ask_at=now + timedelta(seconds=pause))


def _told(refusals: tuple[Refusal, ...]) -> set[tuple[str, str, str, str]]:
    """What of the refusals stands in conditions."""
    return {(refusal.kind, refusal.name, refusal.reason, refusal.message) for refusal in refusals}


def _soonest(pause: float | None, refusals: tuple[Refusal, ...], now: datetime) -> float | None:
    pauses = [max((refusal.ask_at - now).total_seconds(), 0.0) for refusal in refusals if refusal.ask_at]
    return min([*pauses, *([] if pause is None else [pause])], default=None)
