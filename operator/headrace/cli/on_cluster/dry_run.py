"""What the API server says to a manifest before anything is changed: server-side apply as a dry run."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.api.manifest import Manifest, Problem
from headrace.cli.checks import subject
from headrace.cli.on_cluster.objects import Found
from headrace.cli.on_cluster.session import Session
from headrace.plan.values import Raw

if TYPE_CHECKING:
    from headrace.kube.client import ApiError

FIELD_MANAGER = "headrace-cli"

SCHEMA_FAULT = re.compile(r"failed to create typed patch object \(.*?\): \.?(?P<field>\S+): (?P<fact>.*)", re.DOTALL)
"""How the API server, with code 500, refuses what its schema does not have."""
UNKNOWN_FIELD = "field not declared in schema"
OLD_DEFINITION = (
    "the cluster's CustomResourceDefinition, which is of another version, does not have this field; "
    "update it: upgrade the chart, or `headrace crds | kubectl apply --server-side -f -`"
)


@dataclass(frozen=True)
class Answer:
    """What applying would do, or why it cannot be done."""

    change: str = ""
    body: Raw = field(default_factory=dict)
    """What to apply."""
    problems: tuple[Problem, ...] = ()


async def dry_run(session: Session, manifest: Manifest, body: Raw, before: Found | None) -> Answer:
    """Asks the API server; ApiError where the fault is not the manifest's."""
    from headrace.kube.client import ApiError, Stale

    try:
        return _answer(body, before, await apply(session, body, dry_run=True))
    except Stale as error:
        conflict = error
    except ApiError as error:
        return Answer(problems=problems_of(error, manifest))
    # Other managers have fields of this manifest. That is a quarrel only where the values differ: what is just so stays theirs.
    try:
        forced = await apply(session, body, dry_run=True, force=True)
        quarrels = [cause for cause in conflict.causes if before is None or _differs(before.raw, forced, cause[0])]
        if quarrels or before is None:
            return Answer(problems=tuple(_conflicts(quarrels, manifest)))
        if _is_the_same(before.raw, forced):
            return Answer("unchanged", body)
        own = _without(body, [path for path, _ in conflict.causes])
        return _answer(own, before, await apply(session, own, dry_run=True))
    except ApiError as error:
        return Answer(problems=problems_of(error, manifest))


def _answer(body: Raw, before: Found | None, after: Raw) -> Answer:
    if before is None:
        return Answer("created", body)
    return Answer("unchanged" if _is_the_same(before.raw, after) else "configured", body)


async def apply(session: Session, body: Raw, *, dry_run: bool = False, force: bool = False) -> Raw:
    """Server-side applies a manifest as the command line."""
    from headrace.kube.resources import BY_KIND

    path = BY_KIND[body["kind"]].path(body["metadata"]["namespace"], body["metadata"]["name"])
    return await session.api.apply(path, body, manager=FIELD_MANAGER, force=force, dry_run=dry_run)


def problems_of(error: "ApiError", manifest: Manifest) -> tuple[Problem, ...]:
    """The refusal, a problem a field; raises the error itself where the manifest is not at fault."""
    from headrace.kube.client import NotFound, Refused

    if fault := SCHEMA_FAULT.search(error.message):
        fact = OLD_DEFINITION if fault["fact"].startswith(UNKNOWN_FIELD) else fault["fact"].strip()
        return (_problem(manifest, fault["field"], fact),)
    if isinstance(error, NotFound):
        return (_problem(manifest, "metadata.namespace", f"{error.message}; create it, or choose another with -n"),)
    if not isinstance(error, Refused):
        raise error
    causes = [(path, fact) for path, fact in error.causes if path and path != "<nil>"]
    if not causes:
        return (
            Problem(
                manifest.source, manifest.line, subject(manifest.object), f"the cluster refuses it: {error.message}"
            ),
        )
    return tuple(_problem(manifest, path, fact.removeprefix("Invalid value: ")) for path, fact in causes)


def _conflicts(causes: Sequence[tuple[str, str]], manifest: Manifest) -> list[Problem]:
    remedy = f"change it there, or take it over: kubectl apply --server-side --force-conflicts --field-manager {FIELD_MANAGER}"
    managers = [(path, re.search(r'"([^"]*)"', fact)) for path, fact in causes]
    return [
        _problem(manifest, path, f"belongs to the field manager {found[1] if found else 'of another tool'}; {remedy}")
        for path, found in managers
    ]


def _differs(before: Raw, after: Raw, path: str) -> bool:
    """Whether a field has another value; also where it cannot be found, as in a list whose items have names."""
    old, new = _holder(before, path), _holder(after, path)
    return old is None or new is None or old[0][old[1]] != new[0][new[1]]


def _without(body: Raw, paths: Sequence[str]) -> Raw:
    left = copy.deepcopy(body)
    for path in paths:
        if found := _holder(left, path):
            del found[0][found[1]]
    return left


def _holder(raw: Raw, path: str) -> tuple[Raw, str] | None:
    """The mapping that has the field of a path, and its key there, in which there may be dots too."""
    value, rest = raw, path.removeprefix(".")
    while isinstance(value, dict):
        key = next((key for key in sorted(value, key=len, reverse=True) if f"{rest}.".startswith(f"{key}.")), None)
        if key is None:
            return None
        if key == rest:
            return value, key
        value, rest = value[key], rest[len(key) + 1 :]
    return None


def _problem(manifest: Manifest, place: str, fact: str) -> Problem:
    path = place.removeprefix(".")
    return Problem(manifest.source, manifest.line_of(path), subject(manifest.object), f"{path}: {fact}")


def _is_the_same(before: Raw, after: Raw) -> bool:
    old, new = before["metadata"], after["metadata"]
    return before["spec"] == after["spec"] and all(
        (old.get(name) or {}) == (new.get(name) or {}) for name in ("labels", "annotations")
    )
