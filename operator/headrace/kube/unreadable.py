"""Objects that this version cannot read, such as those made before a rule existed: their status says so."""

from datetime import datetime

from pydantic import ValidationError

from headrace.api.manifest import spell_path
from headrace.api.meta import Condition, ConditionStatus, format_time
from headrace.plan.values import Raw

REASON = "Unreadable"
SAID = ("Ready", "Reconciling", "Stalled")
"""The conditions that this takes over; others stay as the last version that could read the object left them."""


def sentence(error: ValidationError) -> str:
    """What is wrong with an object, and what to do."""
    faults = error.errors()
    more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
    fact = f"{spell_path(faults[0]['loc'])}: {faults[0]['msg']}{more}"
    return f"this version of Headrace cannot read the object and leaves it as it is; correct {fact}"[:1024]


def stalled(raw: Raw, words: str, now: datetime) -> Condition:
    """The condition that says so; with the time of the one that says it already."""
    there = _conditions(raw).get("Stalled", {})
    since = str(there["lastTransitionTime"]) if there.get("reason") == REASON else format_time(now)
    return Condition(
        type="Stalled", status=ConditionStatus.TRUE, reason=REASON, message=words,
        observed_generation=raw["metadata"].get("generation", 0),
        last_transition_time=datetime.fromisoformat(since),
    )  # fmt: skip


def status(raw: Raw, condition: Condition) -> Raw:
    """The object's status with the condition, and with Ready to match."""
    said = condition.wire()
    ready = {**said, "type": "Ready", "status": "False"}
    kept = [each for kind, each in sorted(_conditions(raw).items()) if kind not in SAID]
    generation = raw["metadata"].get("generation", 0)
    return {**(raw.get("status") or {}), "observedGeneration": generation, "conditions": [*kept, ready, said]}


def _conditions(raw: Raw) -> dict[str, Raw]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or ()}
