"""Conditions keep the time of their last change."""

from datetime import timedelta

from headrace.plan.conditions import Fact, settle
from tests.gen import NOW

LATER = NOW + timedelta(seconds=9)


def test_an_unchanged_status_keeps_its_time() -> None:
    """Another reason does not move the time; another status does."""
    first = settle((), [Fact("Ready", False, "Starting", "a")], 1, NOW)
    second = settle(first, [Fact("Ready", False, "Running", "b")], 2, LATER)
    third = settle(second, [Fact("Ready", True, "Complete", "c")], 2, LATER)
    assert [conditions[0].last_transition_time for conditions in (first, second, third)] == [NOW, NOW, LATER]
    assert second[0].observed_generation == 2


def test_facts_that_no_longer_hold_are_dropped() -> None:
    """Only what is said now stands there."""
    first = settle((), [Fact("Stalled", True, "X", "a")], 1, NOW)
    assert settle(first, [], 1, NOW) == ()
