"""What the head and the ranks of an elastic group tell each other. No torch here: the head reads it too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meeting:
    """What a rank needs to find the others."""

    lighthouse: str
    token: str
    fewest: int
    timeout_seconds: float
    """How long a collective may take."""


@dataclass(frozen=True)
class Pulse:
    """How a rank does: seconds since its last move was seen to change, and whether it waits for others."""

    still_seconds: float
    waits: bool
