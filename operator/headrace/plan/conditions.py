"""Conditions: the facts about an object, each with a reason and a sentence, and the time of its last change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from headrace.api.meta import Condition, ConditionStatus
from headrace.plan.values import Refusal

MESSAGE_LENGTH = 2048
QUOTA = "QuotaExceeded"
"""The reason of a refusal that may end without anybody's help."""


@dataclass(frozen=True)
class Fact:
    """A condition without its time."""

    type: str
    holds: bool
    reason: str
    message: str


def settle(
    before: tuple[Condition, ...], facts: Iterable[Fact], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions that say the facts; the time of one that did not change its status is kept."""
    known = {condition.type: condition for condition in before}
    settled = []
    for fact in sorted(facts, key=lambda fact: fact.type):
        status = ConditionStatus.TRUE if fact.holds else ConditionStatus.FALSE
        old = known.get(fact.type)
        since = old.last_transition_time if old and old.status == status else now
        settled.append(
            Condition(
                type=fact.type, status=status, reason=fact.reason, message=fact.message[:MESSAGE_LENGTH],
                observed_generation=generation, last_transition_time=since,
            )
        )  # fmt: skip
    return tuple(settled)


def refused(refusals: Sequence[Refusal]) -> Fact | None:
    """The fact that children are refused, told by the first of them; None where everything is taken."""
    if not refusals:
        return None
    first = min(refusals, key=lambda refusal: (refusal.kind, refusal.name))
    more = f" and {len(refusals) - 1} more" if len(refusals) > 1 else ""
    message = f"{first.kind} {first.name}{more} cannot be made, which is tried again: {first.message}"
    return Fact("Refused", True, first.reason, message)


def find(conditions: tuple[Condition, ...], name: str) -> Condition | None:
    """The condition of this type."""
    return next((condition for condition in conditions if condition.type == name), None)


def holds(conditions: tuple[Condition, ...], name: str) -> bool:
    """Whether the condition of this type is there and true."""
    condition = find(conditions, name)
    return condition is not None and condition.status == ConditionStatus.TRUE
