"""Nulls as the API server takes them: a field that is null is a field that is not written, but inside a free object."""

from functools import cache
from typing import Any

from headrace.api.meta import Kind
from headrace.api.objects import MODELS
from headrace.api.schema import structural_schema


def without_nulls(kind: Kind, raw: dict[str, Any]) -> dict[str, Any]:
    """A manifest without the fields that are null; items of lists stay, for the API server refuses those."""
    pruned = _pruned(raw, _schema(kind))
    assert isinstance(pruned, dict)
    return pruned


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    return structural_schema(MODELS[kind])


def _pruned(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, list) and "items" in schema:
        return [_pruned(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or not ("properties" in schema or "additionalProperties" in schema):
        return value
    fields = schema.get("properties", {})
    others = schema.get("additionalProperties", {})
    return {
        name: _pruned(child, fields.get(name, others))
        for name, child in value.items()
        if child is not None or _keeps_null(fields.get(name, others))
    }


def _keeps_null(schema: dict[str, Any]) -> bool:
    return "type" not in schema and "x-kubernetes-int-or-string" not in schema
