"""Pydantic models as Kubernetes structural schemas.

What a real API server would refuse (unions, references, null types, tuples) raises here, when the schema is generated.
"""

from typing import Any

from headrace.api.base import Model

INT_OR_STRING = {"integer", "string"}
DROPPED = frozenset({"discriminator", "x-headrace-edit"})


def structural_schema(model: type[Model]) -> dict[str, Any]:
    """The structural schema of a model; TypeError where there is none."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    schema = _structural(raw, raw.pop("$defs", {}), model.__name__)
    assert isinstance(schema, dict)
    return schema


def _structural(node: Any, definitions: dict[str, Any], path: str) -> Any:
    if isinstance(node, list):
        return [_structural(item, definitions, path) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        return _structural(
            {**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions, path
        )
    if "allOf" in node and len(node["allOf"]) == 1:
        rest = {key: value for key, value in node.items() if key != "allOf"}
        return _structural({**node["allOf"][0], **rest}, definitions, path)
    if "anyOf" in node:
        return _union(node, definitions, path)
    if node.get("type") == "null" or node.get("type") == ["null"]:
        raise TypeError(f"{path}: a null type has no structural form; make the field optional instead")
    return _plain(node, definitions, path)


def _union(node: dict[str, Any], definitions: dict[str, Any], path: str) -> Any:
    arms = [arm for arm in node["anyOf"] if arm != {"type": "null"}]
    optional = len(arms) < len(node["anyOf"])
    rest = {
        key: value
        for key, value in node.items()
        if key != "anyOf" and not (optional and key == "default" and value is None)
    }
    if {arm.get("type") for arm in arms} == INT_OR_STRING:
        pattern = next((arm["pattern"] for arm in arms if "pattern" in arm), rest.pop("pattern", None))
        plain = {**_plain(rest, definitions, path), "x-kubernetes-int-or-string": True}
        return {**plain, "pattern": pattern} if pattern else plain
    if len(arms) == 1:
        return _structural({**arms[0], **rest}, definitions, path)
    raise TypeError(f"{path}: a union has no structural form; use sibling optional fields")


def _plain(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for key, value in sorted(node.items()):
        match key:
            case "title" if isinstance(value, str):
                continue
            case _ if key in DROPPED:
                continue
            # The API server drops an empty list of properties: the definition would differ from its source for ever.
            case "additionalProperties" | "properties" if not value:
                continue
            case "const":
                schema["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":
                schema[key] = True
                schema[key.replace("exclusiveM", "m")] = value
            case "prefixItems" | "oneOf" | "not":
                raise TypeError(f"{path}: {key} has no structural form")
            case "properties":
                schema[key] = {
                    name: _structural(child, definitions, f"{path}.{name}") for name, child in sorted(value.items())
                }
            case "default":
                schema[key] = _without_nulls(value)
            case "enum" | "x-kubernetes-validations" | "required":
                schema[key] = value
            case "description":
                schema[key] = " ".join(value.split())
            case _:
                schema[key] = _structural(value, definitions, f"{path}.{key}")
    return schema


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
