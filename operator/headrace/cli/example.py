"""A request to an endpoint that can be pasted into a shell, with an instance that its model accepts."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from headrace.api.objects import InferenceEndpoint
from headrace.cli.words import local_path

GENERIC_INSTANCE = "..."


def curl(endpoint: InferenceEndpoint) -> str:
    """A curl line; its instance is the model's published example, else zeros of its shape, else dots to fill in."""
    body = json.dumps({"instances": [_example(endpoint)]}, separators=(",", ":"))
    return f"curl -s {endpoint.status.url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _example(endpoint: InferenceEndpoint) -> Any:
    folder = local_path(endpoint.status.stable.uri) if endpoint.status.stable else None
    if folder is None:
        return GENERIC_INSTANCE
    try:
        document = json.loads((folder / "model.json").read_text())
    except (OSError, ValueError):
        # The line is a courtesy: an unreadable folder is the endpoint's own complaint, not this line's.
        return GENERIC_INSTANCE
    if document.get("example") is not None:
        return document["example"]
    return _zeros(document["shape"]) if document.get("shape") else GENERIC_INSTANCE


def _zeros(shape: Sequence[int]) -> Any:
    return [_zeros(shape[1:]) for _ in range(shape[0])] if shape else 0
