"""The objects of a namespace: as the API server has them, and as values wherever this version can read them."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from headrace.api.manifest import spell_path
from headrace.api.meta import Kind, ObjectKey
from headrace.api.objects import HeadraceObject, parse_object
from headrace.cli.errors import REFUSED, Sentence
from headrace.cli.on_cluster.session import Session, together
from headrace.cli.view import shown_name
from headrace.plan.values import Raw

NOT_INSTALLED = (
    "the cluster does not know Headrace's objects: its CustomResourceDefinitions are missing; "
    "install the chart, or `headrace crds | kubectl apply --server-side -f -`"
)


@dataclass(frozen=True)
class Found:
    """One object of the API."""

    key: ObjectKey
    raw: Raw
    object: HeadraceObject | None
    """None where this version cannot read it."""
    fault: str = ""


async def fetch(session: Session, namespaces: Iterable[str]) -> list[Found]:
    """Every object of the namespaces; Sentence where the cluster has no such kinds."""
    from headrace.kube.client import NotFound
    from headrace.kube.resources import CUSTOM

    places = sorted(set(namespaces))
    try:
        listings = await together(session.api.list(resource, place) for place in places for resource in CUSTOM)
    except NotFound as error:
        raise Sentence(NOT_INSTALLED) from error
    return [read(raw) for listing in listings for raw in listing.items]


def read(raw: Raw) -> Found:
    """An object of the API with its value."""
    key = ObjectKey(Kind(raw["kind"]), raw["metadata"]["namespace"], raw["metadata"]["name"])
    try:
        return Found(key, raw, parse_object(raw))
    except ValidationError as error:
        fault = error.errors()[0]
        return Found(key, raw, None, f"{spell_path(fault['loc'])}: {fault['msg']}")


def readable(found: Sequence[Found], *, tell: bool = False) -> list[HeadraceObject]:
    """The values; with `tell`, what cannot be read is told on standard error."""
    for one in found:
        if tell and one.object is None:
            print(unreadable(one), file=sys.stderr)
    return [one.object for one in found if one.object is not None]


def unreadable(one: Found) -> str:
    """The sentence about an object that this version cannot read."""
    sentence = f"cannot be read by this version ({one.fault}); update headrace, or look at it with status -o yaml"
    return f"{one.key.kind} {shown_name(one.key)}: {sentence}"


async def nothing_here(session: Session) -> str:
    """Why a namespace is empty, and what to do; Sentence where there is no such namespace."""
    from headrace.kube.client import ApiError, NotFound

    try:
        await session.api.get(f"/api/v1/namespaces/{session.namespace}")
    except NotFound as error:
        raise Sentence(
            f"{session.server} has no namespace {session.namespace}; choose another with -n", REFUSED
        ) from error
    except ApiError as error:
        if error.code != 403:  # who may see its objects need not be allowed to see the namespace
            raise
    return f"nothing is in the namespace {session.namespace} of {session.server} yet; `{session.command('run FILE')}` starts something"
