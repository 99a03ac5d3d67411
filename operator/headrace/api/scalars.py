"""YAML's scalars as kubectl reads them, so that one manifest means the same here and on a cluster.

PyYAML differs in three: it takes 1e-3 for text, a date for a date, and .inf for a number, which JSON does not have.
"""

import re
from typing import Any

import yaml

_DIFFERENT = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_FLOAT = re.compile(r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$")
_LARGEST_PLAIN = 1e21
"""From here on Go writes a float with an exponent, and the API server no longer reads it as an integer."""


class ManifestLoader(yaml.SafeLoader):
    """A loader of plain values only."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DIFFERENT]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


ManifestLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))  # type: ignore[no-untyped-call]


def as_sent(value: Any) -> Any:
    """A value as kubectl sends it: whole floats as integers."""
    match value:
        case dict():
            return {key: as_sent(child) for key, child in value.items()}
        case list():
            return [as_sent(child) for child in value]
        case float() if value.is_integer() and abs(value) < _LARGEST_PLAIN:
            return int(value)
        case _:
            return value
