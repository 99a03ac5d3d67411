"""How fast the stages of a Batch are, and the most memory that one of its processes took."""

import time
from collections.abc import Callable
from pathlib import Path

from headrace.api.run_report import BatchProgress, StageRate
from headrace_workers.data.pieces import Manifest

STAGES_TOLD = 8


class StageRates:
    """The stages that are done, and the one that is being done."""

    def __init__(self, channels: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """`channels` says how many tasks can run at the same time now."""
        self._channels, self._clock = channels, clock
        self._done: list[StageRate] = []
        self._stage, self._began, self._records, self._seconds, self._memory = "", clock(), 0, 0.0, 0

    def begin(self, stage: str) -> None:
        """The stage before is done, and this one begins."""
        if self._stage:
            self._done.append(self._now(0))
        self._stage, self._began = stage, self._clock()
        self._records, self._seconds = 0, 0.0

    def add(self, manifest: Manifest) -> None:
        """A piece of the stage is done."""
        self._records += manifest.rows_in
        self._seconds += manifest.seconds
        self._memory = max(self._memory, manifest.memory_bytes)

    def told(self, expected: int) -> BatchProgress:
        """What there is to tell; so many records are expected to pass the stage that is being done."""
        now = self._now(max(expected - self._records, 0))
        return BatchProgress(memory_bytes=self._memory, stages=(*self._done, now)[-STAGES_TOLD:])

    def _now(self, queued: int) -> StageRate:
        channels = max(self._channels(), 1)
        rate = self._records / max(self._clock() - self._began, 1e-3)
        return StageRate(
            stage=self._stage, records=self._records, seconds=round(self._seconds, 3), rate=round(rate, 1), channels=channels,
            rate_per_channel=round(rate / channels, 1), queued=queued,
        )  # fmt: skip


def peak_memory_bytes() -> int:
    """The largest resident set that this process had; 0 where the system does not tell.

    Not getrusage's: that begins with what the parent had when it forked.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    line = next((each for each in status.splitlines() if each.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024
