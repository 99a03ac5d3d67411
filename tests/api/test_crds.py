"""The CustomResourceDefinitions as the API server reads them."""

from typing import Any

import pytest

from headrace.api.crds import PLURALS, SHORT_NAMES, crd
from headrace.api.meta import Kind

FORBIDDEN = {"$ref", "anyOf", "oneOf", "not", "$defs", "title", "x-headrace-edit", "prefixItems"}


def schema_of(kind: Kind) -> dict[str, Any]:
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def problems(node: Any, path: str = "") -> list[str]:
    """Everything in a schema that is not structural."""
    if isinstance(node, list):
        return [problem for item in node for problem in problems(item, path)]
    if not isinstance(node, dict):
        return [f"{path}: null"] if node is None else []
    own = [f"{path}: {key}" for key in node if key in FORBIDDEN and not path.endswith("properties")]
    if "properties" in node and not path.endswith("properties") and node.get("type") != "object":
        own.append(f"{path}: properties without type object")
    return own + [problem for key, child in node.items() for problem in problems(child, f"{path}.{key}")]


@pytest.mark.parametrize("kind", list(Kind))
def test_schemas_are_structural(kind: Kind) -> None:
    """No part of any schema is one that the API server refuses."""
    assert problems(schema_of(kind)) == []


def undescribed(node: dict[str, Any], path: str) -> list[str]:
    children = {f"{path}.{name}": child for name, child in node.get("properties", {}).items()}
    if "items" in node:
        children[f"{path}[]"] = {"description": "-", **node["items"]}
    own = [name for name, child in children.items() if not child.get("description")]
    return own + [found for name, child in children.items() for found in undescribed(child, name)]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_field_of_a_spec_is_described(kind: Kind) -> None:
    """`kubectl explain` has a sentence for every field of a spec."""
    assert undescribed(schema_of(kind)["properties"]["spec"], "spec") == []


def unbounded(node: dict[str, Any], path: str) -> list[str]:
    own = [path] if node.get("type") in ("integer", "number") and "x-kubernetes-int-or-string" not in node else []
    bounded = [] if "minimum" in node or "maximum" in node or "enum" in node else own
    inside = {f"{path}.{name}": child for name, child in node.get("properties", {}).items()}
    if "items" in node:
        inside[f"{path}[]"] = node["items"]
    return bounded + [found for name, child in inside.items() for found in unbounded(child, name)]


FREE_NUMBERS = {"min", "max", "low", "high", "above", "below"}


@pytest.mark.parametrize("kind", list(Kind))
def test_every_number_of_a_spec_is_bounded(kind: Kind) -> None:
    """Every number has bounds, but for a user's own limits of values."""
    found = unbounded(schema_of(kind)["properties"]["spec"], "spec")
    assert [path for path in found if path.rsplit(".", 1)[1] not in FREE_NUMBERS] == []


@pytest.mark.parametrize("kind", list(Kind))
def test_names(kind: Kind) -> None:
    """Each kind has its plural, its short name and the common category."""
    names = crd(kind)["spec"]["names"]
    assert (names["plural"], names["shortNames"], names["categories"]) == (
        PLURALS[kind],
        [SHORT_NAMES[kind]],
        ["headrace"],
    )


def test_kubectl_scale_reaches_the_workers() -> None:
    """A TrainJob has the scale subresource over workers.desired."""
    assert (
        crd(Kind.TRAIN_JOB)["spec"]["versions"][0]["subresources"]["scale"]["specReplicasPath"]
        == ".spec.workers.desired"
    )


def test_conditions_are_a_map_by_type() -> None:
    """Conditions merge by type under server-side apply."""
    conditions = schema_of(Kind.TUNE_JOB)["properties"]["status"]["properties"]["conditions"]
    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


def maps_with_unknown_fields(node: Any, path: str) -> list[str]:
    """Every object that keeps unknown fields beside the rules that compare it."""
    if not isinstance(node, dict):
        return []
    own = [path] if node.get("type") == "object" and node.get("x-kubernetes-preserve-unknown-fields") else []
    return own + [found for name, child in node.items() for found in maps_with_unknown_fields(child, f"{path}.{name}")]


@pytest.mark.parametrize("kind", list(Kind))
def test_free_objects_are_maps_of_anything(kind: Kind) -> None:
    """Comparing objects with unknown fields, the API server misses a renamed field; only podTemplate must be one."""
    found = maps_with_unknown_fields(schema_of(kind)["properties"]["spec"], "spec")
    assert {path.rsplit(".", 1)[1] for path in found} == {"podTemplate"}


def test_names_are_labels() -> None:
    """A name with a point, which the API server would take, is refused as local mode refuses it."""
    assert "pattern" in schema_of(Kind.TRAIN_JOB)["properties"]["metadata"]["properties"]["name"]
