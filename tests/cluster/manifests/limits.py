"""For each field of each model: its limits from both sides, a value of the wrong type, null, absence, a misspelling.

Read from the schemas that the API server is given, one place for each model.
"""

from collections.abc import Iterator
from typing import Any

from headrace.api.base import Model
from headrace.api.crds import crd
from headrace.api.meta import Kind
from headrace.api.schema import structural_schema
from headrace.api.steps import Step
from tests.cluster.manifests.cases import Case
from tests.cluster.manifests.minimal import MINIMAL, Place, Wire, places, with_field

CROSS_FIELD = {"spec.workers.max", "spec.workers.min", "spec.workers.desired", "spec.replicas.min", "spec.search[0].integer.low",
               "spec.search[0].integer.high", "spec.search[0].logUniform.high", "spec.mode",
               "spec.source.files.naming"}  # fmt: skip
"""Fields whose outermost values break a rule with another field's default."""
WRONG_TYPES: dict[str, list[Any]] = {
    "integer": ["1", 1.5, True],
    "number": ["1", True],
    "string": [1, True],
    "boolean": ["true", 1],
    "array": [{}],
    "object": [[]],
}


def limit_cases() -> Iterator[Case]:
    """The cases of all fields, each model in the first place where it stands."""
    seen: set[type[Model]] = set()
    for place in places():
        if place.model not in seen:
            seen.add(place.model)
            yield from _of_model(place)


def _of_model(place: Place) -> Iterator[Case]:
    schema = structural_schema(place.model)
    least = MINIMAL.get(place.model, {})
    for name in schema.get("required", ()):
        without = {field: value for field, value in least.items() if field != name}
        yield Case.refused(f"{_id(place, name)}-absent", place.manifest(without), f"{place.path}.{name}", "equired")
        yield Case.refused(f"{_id(place, name)}-null", place.manifest({**least, name: None}), f"{place.path}.{name}")
    yield Case.refused(
        f"{_id(place, 'nonsense')}-unknown",
        place.manifest({**least, "nonsense": 1}),
        f"{place.path}.nonsense",
        "unknown field",
    )
    for name, field in schema.get("properties", {}).items():
        path = f"{place.path}.{name}"
        for label, value in _beyond(field):
            yield Case.refused(
                f"{_id(place, name)}-{label}", place.manifest(with_field(place.model, name, value)), path
            )
        if path not in CROSS_FIELD and place.model is not Step:
            for label, value in _within(field):
                yield Case.accepted(f"{_id(place, name)}-{label}", place.manifest(with_field(place.model, name, value)))
        if name not in schema.get("required", ()) and name not in least:
            yield Case.accepted(f"{_id(place, name)}-null", place.manifest({**least, name: None}))


def _id(place: Place, name: str) -> str:
    return f"{place.kind}-{place.path}.{name}"


def _beyond(field: Wire) -> Iterator[tuple[str, Any]]:
    quantity = "x-kubernetes-int-or-string" in field
    wrong = [0.5, True, -1, "-1", "1 Gi", "1\n"] if quantity else WRONG_TYPES.get(field.get("type", ""), [])
    yield from ((f"wrong-type-{value!r}", value) for value in wrong)
    if "minimum" in field and not quantity:
        yield "too-small", field["minimum"] - (0 if field.get("exclusiveMinimum") else 1)
    if "maximum" in field:
        yield "too-large", field["maximum"] + (0 if field.get("exclusiveMaximum") else 1)
    if field.get("minLength"):
        yield "too-short", "x" * (field["minLength"] - 1)
    if "maxLength" in field:
        yield "too-long", "x" * (field["maxLength"] + 1)
    if "pattern" in field:
        yield from (("pattern", "!"), ("pattern-newline", "x\n"))
    if "enum" in field:
        yield from (("enum", "Nonsense"), ("enum-case", field["enum"][0].swapcase()))
    if field.get("minItems"):
        yield "too-few", []
    if "maxItems" in field:
        yield "too-many", [None] * (field["maxItems"] + 1)
    if "maxProperties" in field:
        yield "too-many", {f"k{number}": "v" for number in range(field["maxProperties"] + 1)}


def _within(field: Wire) -> Iterator[tuple[str, Any]]:
    if "x-kubernetes-int-or-string" in field:
        yield from ((str(value), value) for value in (0, 3, "3", "0.5", "500m", "8Gi"))
    elif "minimum" in field and not field.get("exclusiveMinimum"):
        yield "smallest", field["minimum"]
    elif field.get("exclusiveMinimum"):
        yield "just-above", field["minimum"] + 0.001
    if "maximum" in field and not field.get("exclusiveMaximum"):
        yield "largest", field["maximum"]
    elif field.get("exclusiveMaximum"):
        yield "just-below", field["maximum"] - 0.001
    if "maxLength" in field and "pattern" not in field:
        yield from (("longest", "x" * field["maxLength"]), ("longest-of-other-letters", "ü" * field["maxLength"]))
    if field.get("type") == "boolean":
        yield from ((str(value), value) for value in (True, False))
    yield from ((each, each) for each in field.get("enum", ()))


def rules_of(kind: Kind) -> Iterator[tuple[str, str]]:
    """The place and the message of each rule of a kind's spec."""
    yield from _rules(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec")


def _rules(schema: Wire, path: str) -> Iterator[tuple[str, str]]:
    yield from ((path, rule["message"]) for rule in schema.get("x-kubernetes-validations", ()))
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[0]")
