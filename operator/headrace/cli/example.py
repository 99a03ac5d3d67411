"""A request to an endpoint that can be pasted into a shell, with an instance that its model accepts."""

import json
import shlex
from typing import Any

from headrace.api.objects import InferenceEndpoint
from headrace.cli.words import local_path

GENERIC_INSTANCE = "..."


def curl(endpoint: InferenceEndpoint) -> str:
    """A curl line; its instance is the example that the model was published with, else dots to fill in."""
    body = json.dumps({"instances": [_example(endpoint)]}, separators=(",", ":"))
    return f"curl -s {endpoint.status.url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


def _example(endpoint: InferenceEndpoint) -> Any:
    folder = local_path(endpoint.status.stable.uri) if endpoint.status.stable else None
    if folder is None:
        return GENERIC_INSTANCE
    try:
        return json.loads((folder / "model.json").read_text()).get("example", GENERIC_INSTANCE)
    except (OSError, ValueError):
        # The line is a courtesy: an unreadable folder is the endpoint's own complaint, not this line's.
        return GENERIC_INSTANCE
