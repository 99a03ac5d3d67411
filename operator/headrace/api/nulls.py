"""Nulls as the API server takes them: a field that is null is a field that is not written, but inside a free object."""

from functools import cache
from typing import Any, cast

from headrace.api.base import Model
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
    fields = MODELS[kind].model_fields
    parts = {name: structural_schema(cast("type[Model]", fields[name].annotation)) for name in ("metadata", "spec")}
    return {"type": "object", "properties": parts, "required": list(parts)}


def _pruned(value: Any, schema: dict[str, Any]) -> Any:
    if isinstance(value, list) and "items" in schema:
        return [_pruned(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or not ("properties" in schema or "additionalProperties" in schema):
        return value
    fields = schema.get("properties", {})
    others = schema.get("additionalProperties", {"nullable": schema.get("x-kubernetes-preserve-unknown-fields", False)})
    return {
        name: _pruned(child, fields.get(name, others))
        for name, child in value.items()
        if child is not None or _keeps_null(fields.get(name, others), required=name in schema.get("required", ()))
    }


def _keeps_null(schema: dict[str, Any], *, required: bool) -> bool:
    """Whether null is a value here, or is told as a fault with the type that is asked for."""
    return schema.get("nullable", False) or (required and "type" in schema)
