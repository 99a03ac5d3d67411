"""What waits in windows that are still open, in runs as what was seen is kept: each epoch adds one, small ones become larger ones.

A run's file stays as it was written while its windows close one after the other; what is in closed ones is left out when
it is read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.windows import Window
from headrace_workers.data.steps.event_times import SECOND
from headrace_workers.data.steps.open_windows import LAST, START, rows_of
from headrace_workers.data.stream.duplicates import MOST_IN_A_RUN


@dataclass(frozen=True)
class HeldRun:
    """Entries of open windows, as `open_windows.entries` makes them; `name` is their file, `begins` where their records began to be read."""

    name: str
    table: pa.Table
    begins: Mapping[str, int] = field(default_factory=dict)

    @property
    def earliest(self) -> int:
        """The earliest start of a window, in microseconds."""
        return int(pc.min(self.table[START]).as_py())


class Held:
    """The entries of all windows that are open."""

    def __init__(self, window: Window, runs: Sequence[HeldRun] = ()) -> None:
        """Goes on with the runs of an earlier `Held`."""
        self._window = window
        self._length = window.seconds * SECOND
        self.runs: tuple[HeldRun, ...] = tuple(runs)

    @classmethod
    def restored(cls, window: Window, runs: Sequence[HeldRun], closed: int) -> "Held":
        """Of files that were written earlier, without what is in windows that have closed since."""
        left = (replace(run, table=_open(run.table, closed - window.seconds * SECOND)) for run in runs)
        return cls(window, [run for run in left if run.table.num_rows])

    @property
    def records(self) -> int:
        """Records that wait for the last of their windows."""
        return sum(int(pc.sum(run.table[LAST]).as_py()) for run in self.runs)

    def ripe(self, watermark: int) -> bool:
        """Whether a window ends by the watermark."""
        return any(run.earliest + self._length <= watermark for run in self.runs)

    def with_run(self, name: str, made: pa.Table, begins: Mapping[str, int] | None = None) -> "Held":
        """What is held with these entries, of which the new run is the only one that has no file yet.

        `begins` is where their records began to be read.
        """
        begins = begins or {}
        runs = list(self.runs)
        while runs and made.num_rows and _may_merge(runs[-1].table.num_rows, made.num_rows):
            older = runs.pop()
            made = pa.concat_tables([older.table, made], promote_options="permissive")
            begins = earliest(older.begins, begins)
        if made.num_rows:
            runs.append(HeldRun(name, made.combine_chunks(), begins))
        return Held(self._window, runs)

    def close(self, watermark: int) -> tuple[pa.Table | None, int, "Held"]:
        """A row for each window that ends by the watermark, how many records are done with, and what is held then.

        None where no window closes.
        """
        if not self.ripe(watermark):
            return None, 0, self
        last = watermark - self._length
        closing = pa.concat_tables(
            [run.table.filter(pc.less_equal(run.table[START], last)) for run in self.runs], promote_options="permissive"
        ).combine_chunks()
        left = (replace(run, table=_open(run.table, last)) for run in self.runs)
        done = int(pc.sum(closing[LAST]).as_py())
        return rows_of(closing, self._window), done, Held(self._window, [run for run in left if run.table.num_rows])


def earliest(begins: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Where to begin for both, of the partitions that `begins` has: what is repaired may have been read long before."""
    return {name: min(offset, other.get(name, offset)) for name, offset in begins.items()}


def _open(table: pa.Table, last: int) -> pa.Table:
    return table.filter(pa.array(table[START].to_numpy() > np.int64(last)))


def _may_merge(older: int, newer: int) -> bool:
    return older <= 2 * newer and older + newer <= MOST_IN_A_RUN
