"""When the next request may go: at a steady rate, and never to make up for time that was lost."""

from dataclasses import dataclass


@dataclass
class Pace:
    """Moments on a steady clock, in seconds, `1 / per_second` apart at the least."""

    per_second: float
    due: float

    def wait_seconds(self, now: float) -> float:
        """How long to wait before the next request; counts it as sent then."""
        start = max(now, self.due)
        self.due = start + 1 / self.per_second
        return start - now
