"""A rehearsal of the planner in memory: what it would decide and do for manifests, with nothing done.

A status decision comes one pass before the actions that rest on it, so a few passes are played; no pod ever answers.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.api.edits import refused_edits
from headrace.api.meta import ObjectKey
from headrace.api.objects import HeadraceObject, InferenceEndpoint
from headrace.api.status import ACTIVE
from headrace.plan.dependents import related
from headrace.plan.plan import plan
from headrace.plan.values import Action, Observed, Settings

PASSES_MAX = 5


@dataclass(frozen=True)
class Rehearsed:
    """What would become of one object."""

    object: HeadraceObject
    """With the status that the planner would have saved."""
    change: str
    actions: tuple[Action, ...]
    refused: tuple[str, ...] = ()


def rehearse(
    given: Sequence[HeadraceObject], existing: Sequence[HeadraceObject], settings: Settings, now: datetime
) -> list[Rehearsed]:
    """What would become of the given objects, in their order."""
    saved = {resource.key: resource for resource in existing}
    refused = {resource.key: _refusals(resource, saved.get(resource.key)) for resource in given}
    changes = {resource.key: _change(resource, saved.get(resource.key)) for resource in given}
    world = dict(saved)
    for resource in given:
        if not refused[resource.key]:
            world[resource.key] = _put(resource, saved.get(resource.key), now)
    actions: dict[ObjectKey, tuple[Action, ...]] = {}
    for _ in range(PASSES_MAX):
        before = dict(world)
        for resource in given:
            if (
                not refused[resource.key]
                and not actions.get(resource.key)
                and not _goes_on(resource, saved.get(resource.key))
            ):
                world[resource.key], actions[resource.key] = _pass(world[resource.key], world, settings, now)
        if world == before:
            break
    return [
        Rehearsed(world.get(one.key, one), changes[one.key], actions.get(one.key, ()), refused[one.key])
        for one in given
    ]


def _pass(
    resource: HeadraceObject, world: Mapping[ObjectKey, HeadraceObject], settings: Settings, now: datetime
) -> tuple[HeadraceObject, tuple[Action, ...]]:
    planned = plan(Observed(resource, related=related(resource, world.values()), settings=settings), now)
    return _updated(resource, status=planned.status), planned.actions


def _updated(resource: HeadraceObject, **changes: Any) -> HeadraceObject:
    return resource.model_copy(update=changes)


def _goes_on(resource: HeadraceObject, old: HeadraceObject | None) -> bool:
    """Whether an unchanged object has pods, which a rehearsal cannot see and would take for lost."""
    if old is None or old.spec != resource.spec:
        return False
    return bool(old.status.versions) if isinstance(old, InferenceEndpoint) else old.status.phase in ACTIVE


def _refusals(resource: HeadraceObject, old: HeadraceObject | None) -> tuple[str, ...]:
    return tuple(refusal.message for refusal in refused_edits(old, resource)) if old else ()


def _change(resource: HeadraceObject, old: HeadraceObject | None) -> str:
    if old is None:
        return "created"
    return "unchanged" if old.spec == resource.spec else "configured"


def _put(resource: HeadraceObject, old: HeadraceObject | None, now: datetime) -> HeadraceObject:
    if old is None:
        # Names of children come from the UID; any will do that is the same at every rehearsal.
        uid = hashlib.sha256(str(resource.key).encode()).hexdigest()[:32]
        return _updated(
            resource,
            metadata=resource.metadata.model_copy(update={"uid": uid, "generation": 1, "creation_timestamp": now}),
        )
    generation = old.metadata.generation + (old.spec != resource.spec)
    return _updated(old, spec=resource.spec, metadata=old.metadata.model_copy(update={"generation": generation}))
