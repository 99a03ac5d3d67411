"""What an edit does to an object that exists: in place, a new run, or refused. The CEL rules of the CRDs say the same."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from headrace.api.base import Edit, Model, cel_name, edit_of
from headrace.api.meta import Kind
from headrace.api.objects import MODELS, HeadraceObject, RunObject
from headrace.api.status import ACTIVE


@dataclass(frozen=True)
class Refusal:
    """An edit that may not be made, and what to do instead."""

    field: str
    message: str


@cache
def _fields(model: type[Model], edit: Edit) -> list[str]:
    return sorted(name for name in model.model_fields if edit_of(model, name) == edit)


def spec_digest(spec: Model) -> str:
    """Digest of the fields that change the result; fields at their default do not count, so that a new field changes nothing."""
    names = _fields(type(spec), Edit.IMMUTABLE) + _fields(type(spec), Edit.NEW_RUN)
    data = spec.model_dump(mode="json", by_alias=True, include=set(names), exclude_defaults=True)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def running_message(name: str) -> str:
    """Why a field may not change now."""
    return f"{name} cannot change while the job runs; set suspend: true first, or delete the job"


def immutable_message(name: str) -> str:
    """Why a field may never change."""
    return f"{name} is immutable; delete the object and create it anew"


def refused_edits(old: HeadraceObject, new: HeadraceObject, *, running: bool | None = None) -> list[Refusal]:
    """The refusals that the API server's rules would give; `running` replaces the phase where the pods are known."""
    if type(old) is not type(new):
        raise TypeError(f"{old.key} and {new.key} are not of one kind")
    model = type(old.spec)
    changed = {name for name in model.model_fields if getattr(old.spec, name) != getattr(new.spec, name)}
    refusals = [
        Refusal(spelled(model, name), immutable_message(spelled(model, name)))
        for name in _fields(model, Edit.IMMUTABLE)
        if name in changed
    ]
    if isinstance(old, RunObject):
        active = old.status.phase in ACTIVE if running is None else running
        if active and not old.spec.suspend:
            refusals += [
                Refusal(spelled(model, name), running_message(spelled(model, name)))
                for name in _fields(model, Edit.NEW_RUN)
                if name in changed
            ]
    return refusals


def spelled(model: type[Model], name: str) -> str:
    """A field's name as manifests spell it."""
    return model.model_fields[name].alias or name


def transition_rules(kind: Kind) -> list[dict[str, str]]:
    """The CEL rules, for the root of the kind's schema, that make the API server refuse the same edits."""
    model = MODELS[kind].model_fields["spec"].annotation
    assert isinstance(model, type) and issubclass(model, Model)
    rules = []
    for name in _fields(model, Edit.IMMUTABLE):
        field = spelled(model, name)
        rules.append(
            {
                "rule": _unchanged(model, name),
                "message": immutable_message(field),
                "fieldPath": f".spec.{field}",
            }
        )
    if "suspend" in model.model_fields and kind != Kind.INFERENCE_ENDPOINT:
        rules.append(_running_rule(model))
    return rules


def _running_rule(model: type[Model]) -> dict[str, str]:
    """One rule for all fields: the API server runs it at every write of a status, and each field that a rule names costs it.

    Its message names the first field that an edit changes.
    """
    active = ", ".join(f"'{phase}'" for phase in sorted(ACTIVE))
    unchanged = {spelled(model, name): _unchanged(model, name) for name in _fields(model, Edit.NEW_RUN)}
    said = f"'{running_message('what changes the result')}'"
    for field, fact in reversed(unchanged.items()):
        # Whole sentences: the API server takes a sum of strings, and a list of them, for one of 3 MB.
        said = f"!({fact}) ? '{running_message(field)}' : {said}"
    return {
        "rule": f"!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in [{active}]) || "
                f"oldSelf.spec.suspend || ({' && '.join(unchanged.values())})",
        "message": running_message("what changes the result"),
        "messageExpression": said,
        "fieldPath": ".spec",
    }  # fmt: skip


def is_always_there(model: type[Model], name: str) -> bool:
    """Whether every stored object has the field: it is required, or the schema has its default."""
    field = model.model_fields[name]
    return field.is_required() or field.get_default(call_default_factory=True) is not None


def _unchanged(model: type[Model], name: str) -> str:
    """CEL without optional selection (`?`), behind which the API server takes every field for one of 3 MB and refuses the rule."""
    field = cel_name(spelled(model, name))
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    if is_always_there(model, name):
        return f"{new} == {old}"
    return f"(has({new}) == has({old}) && (!has({new}) || {new} == {old}))"
