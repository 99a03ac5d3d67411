"""YAML's scalars as kubectl reads them, so that one manifest means the same here and on a cluster.

PyYAML takes 1e-3 for text, and reads dates, bytes and .inf, which JSON does not have.
"""

import math
import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:float"
_FLOAT = re.compile(r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$")
_LARGEST_PLAIN = 1e21
"""From here on Go writes a float with an exponent, and the API server no longer reads it as an integer."""


class ManifestLoader(yaml.SafeLoader):
    """A loader of plain values only."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


ManifestLoader.add_implicit_resolver(_TAG, _FLOAT, list("-+0123456789."))


def as_sent(value: Any) -> Any:
    """A value as kubectl sends it, whole floats as integers; ValueError for what JSON does not have."""
    match value:
        case dict():
            return {_key(key): as_sent(child) for key, child in value.items()}
        case list():
            return [as_sent(child) for child in value]
        case float() if value.is_integer() and abs(value) < _LARGEST_PLAIN:
            return int(value)
        case float() if not math.isfinite(value):
            raise ValueError("JSON has finite numbers only")
        case str() | int() | float() | None:
            return value
        case _:
            raise ValueError(f"JSON has no {type(value).__name__}")


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
