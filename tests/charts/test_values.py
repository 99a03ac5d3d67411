"""The chart's values, their schema and their comments, without Helm."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import headrace

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "headrace"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)


def comments() -> dict[tuple[str, ...], str]:
    """The comments that the README's table is made from."""
    module_spec = importlib.util.spec_from_file_location("chart_readme", ROOT / "hack" / "chart_readme.py")
    assert module_spec
    assert module_spec.loader
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return dict(module.comments(TEXT))


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each value that is no object of further values."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def closed_objects(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The path and the keys of each object of the schema whose keys are named."""
    if "properties" in schema:
        yield path, set(schema["properties"])
        for key, child in schema["properties"].items():
            yield from closed_objects(child, (*path, key))


def test_the_defaults_obey_the_schema() -> None:
    """The schema is one, and it accepts values.yaml."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


def test_schema_and_values_name_the_same() -> None:
    """What the schema allows has a default, and what has a default is allowed; `global` is Helm's own."""
    for path, keys in closed_objects(SCHEMA):
        here = VALUES
        for key in path:
            here = here[key]
        if path == ("strategy",):
            continue
        assert keys - {"global"} == set(here), path


def test_every_object_of_the_schema_is_closed() -> None:
    """Wherever keys are named, no others are allowed."""

    def closed(schema: Any) -> bool:
        if isinstance(schema, list):
            return all(closed(each) for each in schema)
        if not isinstance(schema, dict):
            return True
        named = "properties" in schema and "name" not in schema.get("required", [])
        return (not named or schema.get("additionalProperties") is False) and all(
            closed(each) for each in schema.values()
        )

    assert closed({key: value for key, value in SCHEMA.items() if key != "properties"})
    assert closed(list(SCHEMA["properties"].values()))
    assert SCHEMA["additionalProperties"] is False


def test_every_value_is_described() -> None:
    """Each value has a comment, or lies under one that has."""
    described = comments()
    bare = [
        path for path in leaves(VALUES) if not any(path[:length] in described for length in range(1, len(path) + 1))
    ]
    assert bare == []


@pytest.mark.parametrize("path", sorted(comments()), ids=".".join)
def test_comments_are_sentences(path: tuple[str, ...]) -> None:
    """A description ends, and breaks no table."""
    words = comments()[path]
    assert words.endswith(".")
    assert "|" not in words


def test_the_chart_has_the_version_of_the_package() -> None:
    """Chart and operator are released together."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (headrace.__version__, headrace.__version__)
