"""Which changes of conditions are news, and how they are told: once, in one line, with what the object made where it is complete."""

from headrace.api.meta import Condition, ConditionStatus, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.cli.results import result
from headrace.cli.view import shown_name

ALWAYS_TOLD = frozenset({"Ready", "Promoted", "Straggling"})
"""Conditions whose absence is news too: what is still missing, why a candidate was turned down, that all keep up again."""


class News:
    """Remembers what was told last of each object: several conditions change at once and say the same."""

    def __init__(self) -> None:
        """Nothing has been told."""
        self._told: dict[ObjectKey, tuple[str, str]] = {}

    def line(self, key: ObjectKey, condition: Condition, resource: HeadraceObject | None) -> str | None:
        """The line of a changed condition; None where it is no news."""
        if condition.status != ConditionStatus.TRUE and condition.type not in ALWAYS_TOLD:
            return None
        fact = (condition.reason, condition.message)
        if self._told.get(key) == fact:
            return None
        self._told[key] = fact
        sentence = f"{key.kind} {shown_name(key)}: {condition.reason}" + (
            f": {condition.message}" if condition.message else ""
        )
        made = result(resource) if resource and condition.reason == "Complete" else ""
        return f"{sentence} ({made})" if made else sentence
