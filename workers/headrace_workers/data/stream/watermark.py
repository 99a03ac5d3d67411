"""What happened before the watermark has come, as far as is allowed to (Akidau et al., 2015)."""

from collections.abc import Iterable, Mapping

MICROSECONDS = 1_000_000


class Watermark:
    """The newest time of each partition, and what follows from them; it never goes back. Times are microseconds."""

    def __init__(
        self,
        lateness_seconds: int,
        idle_seconds: int,
        newest: Mapping[str, int] | None = None,
        reached: int | None = None,
    ) -> None:
        """Goes on from an earlier one's `newest` and `reached`; until a partition has been idle it may hold back."""
        self._lateness = lateness_seconds * MICROSECONDS
        self._idle = float(idle_seconds)
        self.newest: dict[str, int] = dict(newest or {})
        self.reached = reached
        self._heard: dict[str, float] = {}

    def hear(self, newest: Mapping[str, int], now: float) -> None:
        """Records of partitions have come; `now` is a monotonic clock's seconds."""
        for name, time in newest.items():
            self.newest[name] = max(time, self.newest.get(name, time))
            self._heard[name] = now

    def advance(self, partitions: Iterable[str], now: float) -> int | None:
        """The watermark over these partitions; None while one of them may still have anything."""
        names = sorted(partitions)
        for name in names:
            self._heard.setdefault(name, now)
        awake = [name for name in names if now - self._heard[name] < self._idle]
        if any(name not in self.newest for name in awake):
            return self.reached
        times = [self.newest[name] for name in awake]
        if not times and self.newest:
            times = [max(self.newest.values())]
        if times:
            reached = min(times) - self._lateness
            self.reached = reached if self.reached is None else max(reached, self.reached)
        return self.reached
