"""The quarantine of a run as a person has it, and repairs of it."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def lines_in(storage: Path) -> list[Line]:
    """The lines of a run's quarantine, without what came late."""
    found = sorted((storage / "quarantine").glob("*.jsonl"))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


def repaired(lines: Iterable[Line], repair: Callable[[Line], Any]) -> list[Line]:
    """The lines with what `repair` makes of each as their records."""
    return [line | {"record": repair(line)} for line in lines]


def write(path: Path, lines: Iterable[Line]) -> Path:
    """Writes lines as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def columns(line: Line) -> dict[str, Any]:
    """The columns of a line's record."""
    found: dict[str, Any] = json.loads(line["record"])
    return found


def with_repairs(path: Path, **more: Any) -> dict[str, Any]:
    """The field of a pipeline that declares a file of repaired records."""
    return {"maxFraction": 1, "repaired": {"uri": f"file:{path}"}, **more}
