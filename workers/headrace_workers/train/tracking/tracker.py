"""What every tracker is asked, and what it answers where it cannot: the words between delivery and the tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class TrackerDown(Exception):
    """It does not answer, or cannot now; the sentence says what was seen."""


class TrackerRefuses(Exception):
    """It will give the same answer however often it is asked; the sentence says what to do."""


class End(StrEnum):
    """How an attempt ended."""

    FINISHED = "Finished"
    FAILED = "Failed"
    STOPPED = "Stopped"
    """It was asked to go and has saved; another attempt may go on."""


@dataclass(frozen=True)
class Subject:
    """The run that is tracked, the same for all its attempts."""

    key: str
    """Unique among all runs of all clusters: the tracked run is found by it."""
    name: str
    parameters: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)
    """What is known from the start: identity and lineage."""


@dataclass(frozen=True)
class Point:
    """Values at a step."""

    step: int
    values: Mapping[str, float]
    time: float
    """In seconds since 1970."""


class Tracker(Protocol):
    """One tool. It is called from one thread, raises TrackerDown or TrackerRefuses, and has a deadline for every wait."""

    @property
    def tool(self) -> str:
        """Its name in spec.tracking."""

    def open(self) -> str:
        """Finds the run or makes it, learns how far it was told, and returns the address of its page.

        It is called again after each TrackerDown: what had arrived although no answer came is known then.
        """

    def send(self, points: Sequence[Point], facts: Mapping[str, str]) -> None:
        """Adds points in the order of their steps, without those that it has, and sets facts."""

    def undo(self, step: int) -> None:
        """Takes the points after a step again when they are sent next: they are other ones."""

    def close(self, end: End) -> None:
        """Says how the attempt ended."""
