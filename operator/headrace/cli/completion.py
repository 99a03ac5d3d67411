"""What the shell offers after Tab: the names of the objects in the state folder. Never fails, never writes, asks no cluster."""

import os
from pathlib import Path

import typer


def complete_names(context: typer.Context, incomplete: str) -> list[str]:
    """kind/name and, where it means one object, name alone, for what has been typed so far."""
    if context.obj or context.params.get("context") or context.params.get("namespace"):
        return []  # a cluster's objects are meant
    from headrace.cli.errors import Sentence
    from headrace.cli.references import spell
    from headrace.cli.state import DEFAULT, VARIABLE, saved_objects

    try:
        keys = [resource.key for resource in saved_objects(Path(os.environ.get(VARIABLE, DEFAULT)))]
    except (OSError, Sentence):
        return []
    names = [key.name for key in keys]
    offered = {spell(key) for key in keys} | {name for name in names if names.count(name) == 1}
    return sorted(word for word in offered if word.startswith(incomplete))
