"""The forms in which a command can answer a program instead of a person."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any


class Output(StrEnum):
    """A form of data."""

    JSON = "json"
    YAML = "yaml"


class LogFormat(StrEnum):
    """How the operator writes its log."""

    JSON = "json"
    TEXT = "text"


def dump(items: Sequence[dict[str, Any]], output: Output, *, single: bool = False) -> str:
    """The items as JSON or YAML: one alone as itself where `single`, else as a List."""
    data = items[0] if single and len(items) == 1 else {"apiVersion": "v1", "kind": "List", "items": list(items)}
    if output == Output.JSON:
        return json.dumps(data, indent=2) + "\n"
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
