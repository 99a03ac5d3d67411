"""How fast a stage is, of late and since it began."""

from collections import deque

from headrace.api.run_report import StageRate

LATELY_SECONDS = 10.0


class Rate:
    """The records of one stage, and the seconds that it worked for them."""

    def __init__(self, stage: str, now: float) -> None:
        """Begins at zero."""
        self._stage = stage
        self._records, self._seconds = 0, 0.0
        self._lately: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, records: int, seconds: float, now: float) -> None:
        """The stage has done so many records."""
        self._records += records
        self._seconds += seconds
        self._lately.append((now, self._records))

    def at(self, now: float, channels: int, queued: int = 0) -> StageRate:
        """How fast it is, with so many working at the same time and so many records waiting."""
        while len(self._lately) > 1 and self._lately[1][0] <= now - LATELY_SECONDS:
            self._lately.popleft()
        since, before = self._lately[0]
        rate = (self._records - before) / max(now - max(since, now - LATELY_SECONDS), 1.0)
        return StageRate(
            stage=self._stage, records=self._records, seconds=round(self._seconds, 3), rate=round(rate, 1), channels=channels,
            rate_per_channel=round(rate / max(channels, 1), 1), queued=queued,
        )  # fmt: skip
