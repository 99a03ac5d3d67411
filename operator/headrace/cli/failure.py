"""Why a run did not succeed: the sentence of its condition, where its log is, and the log's last lines."""

from collections.abc import Sequence
from pathlib import Path

from headrace.api.meta import Condition
from headrace.api.objects import HeadraceObject
from headrace.cli.references import spell
from headrace.cli.view import shown_name
from headrace.cli.words import place
from headrace.plan.conditions import find

TOLD_LINES = 15
READ_BYTES = 64 * 1024


def failure_lines(resource: HeadraceObject, log: Path | None) -> list[str]:
    """What to tell of an object that failed, or that waits for what cannot come."""
    if log is None:
        return [_sentence(resource)]
    where = f"  log: {place(log)} (the whole: headrace logs {spell(resource.key)})"
    return with_tail(resource, where, last_lines(log, TOLD_LINES))


def with_tail(resource: HeadraceObject, where: str, tail: Sequence[str]) -> list[str]:
    """What to tell of an object that failed, with where its log is and the log's end."""
    fact = _fact(resource)
    if fact and any(f"{fact.reason}: {first_line(fact.message)}" in text for text in tail):
        # The run ended by saying just this: what else is at the log's end is Ray's, and hides it.
        return [_sentence(resource), where]
    return [_sentence(resource), f"{where}; its last lines:", *(f"  | {text}" for text in tail)]


def _fact(resource: HeadraceObject) -> Condition | None:
    failed = find(resource.status.conditions, "Failed")
    return failed if failed and failed.status == "True" else find(resource.status.conditions, "Ready")


def _sentence(resource: HeadraceObject) -> str:
    fact = _fact(resource)
    words = (resource.status.phase, fact.reason, fact.message) if fact else (resource.status.phase,)
    return f"{resource.key.kind} {shown_name(resource.key)}: {': '.join(dict.fromkeys(map(str, words)))}"


def first_line(text: str) -> str:
    """A text up to its first line's end."""
    return text.partition("\n")[0]


def last_lines(path: Path, number: int) -> Sequence[str]:
    """The last lines of a text file, read from its end."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - READ_BYTES, 0))
            return file.read().decode(errors="replace").splitlines()[-number:]
    except OSError as error:
        return [f"({path.name} cannot be read: {error.strerror})"]
