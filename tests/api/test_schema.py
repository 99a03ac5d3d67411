"""Structural schemas: what a real API server would refuse raises when it is generated."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from headrace.api.base import Edit, Model, setting
from headrace.api.quantity import Quantity
from headrace.api.schema import structural_schema


class Inner(Model):
    size: Annotated[int, Field(gt=0, lt=10, description="How\n    large.")] = 1
    name: str | None = None


class Outer(Model):
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    amount: Quantity = "1"
    limit: int | None = setting("A limit.", edit=Edit.IN_PLACE, default=None, ge=0)


def walk(node: Any) -> list[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return [node, *(found for child in children for found in walk(child))]


def test_references_are_resolved() -> None:
    """Nested models stand in place; no $ref is left."""
    schema = structural_schema(Outer)
    assert schema["properties"]["many"]["items"]["properties"]["name"] == {"type": "string"}
    assert not any(
        isinstance(node, dict) and ("$ref" in node or "anyOf" in node or "$defs" in node) for node in walk(schema)
    )


def test_optional_is_the_plain_type_without_null() -> None:
    """An optional field is its type; null is neither type nor default."""
    assert structural_schema(Outer)["properties"]["limit"] == {
        "type": "integer", "minimum": 0, "description": "A limit. An edit takes effect in place.",
    }  # fmt: skip


def test_defaults_hold_no_nulls() -> None:
    """A default object leaves out what is not set, since the API server refuses null there."""
    assert structural_schema(Outer)["properties"]["inner"]["default"] == {"size": 1}


def test_exclusive_bounds_are_spelled_the_old_way() -> None:
    """OpenAPI 3.0 spells an exclusive bound as a flag beside the bound."""
    size = structural_schema(Inner)["properties"]["size"]
    assert (size["minimum"], size["exclusiveMinimum"], size["maximum"], size["exclusiveMaximum"]) == (0, True, 10, True)
    assert size["description"] == "How large."


def test_quantity_is_int_or_string() -> None:
    """A quantity may be written as an integer or a string."""
    amount = structural_schema(Outer)["properties"]["amount"]
    assert amount["x-kubernetes-int-or-string"] is True
    assert "type" not in amount


class Empty(Model):
    pass


def test_an_object_without_fields_has_no_properties() -> None:
    """The API server drops an empty list of properties; a definition that has one would never equal its source."""
    assert "properties" not in structural_schema(Empty)


class Union(Model):
    either: Inner | int = 1


class Pair(Model):
    pair: tuple[int, str] = (1, "x")


class Null(Model):
    nothing: None = None


class Nested(Model):
    either: Inner | list[Inner] | None = None


@pytest.mark.parametrize("model", [Union, Pair, Null, Nested], ids=lambda model: model.__name__)
def test_what_has_no_structural_form_raises(model: type[Model]) -> None:
    """Unions, tuples and null types raise, naming the field."""
    with pytest.raises(TypeError, match=rf"{model.__name__}\.\w+: .*structural form"):
        structural_schema(model)
