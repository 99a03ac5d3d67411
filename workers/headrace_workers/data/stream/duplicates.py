"""Which records are equal to earlier ones, over all partitions, without a look at each record by itself.

What is remembered lies in sorted runs, as in a log-structured merge tree (O'Neil et al., 1996): each epoch adds one, and
small ones become larger ones; each is a file, too. What is older than it may matter is forgotten, a run at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

MOST_IN_A_RUN = 1_000_000
"""Larger runs are not merged: what is written again stays little."""


@dataclass(frozen=True)
class Run:
    """Signatures as two words each and the times of their records, sorted by the first word; `name` is its file."""

    name: str
    first: np.ndarray
    second: np.ndarray
    times: np.ndarray

    @property
    def newest(self) -> int:
        """The newest time."""
        return int(self.times.max())

    def table(self) -> pa.Table:
        """The run as a table."""
        return pa.table({"first": self.first, "second": self.second, "time": self.times})

    @classmethod
    def of(cls, name: str, table: pa.Table) -> "Run":
        """The run of such a table."""
        return cls(name, *(table[column].to_numpy() for column in ("first", "second", "time")))


def words(signatures: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Signatures of 16 bytes each as two arrays of uint64."""
    flat = np.frombuffer(signatures.buffers()[1], np.uint64, 2 * len(signatures), 16 * signatures.offset)
    return flat[0::2].copy(), flat[1::2].copy()


class Seen:
    """What was seen of `within` microseconds."""

    def __init__(self, within: int, runs: Sequence[Run] = ()) -> None:
        """Goes on with the runs of an earlier `Seen`."""
        self._within = within
        self.runs: tuple[Run, ...] = tuple(runs)

    @property
    def records(self) -> int:
        """How many are remembered."""
        return sum(len(run.times) for run in self.runs)

    def fresh(self, first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
        """For each record whether none within that time of it, in memory or before it in these, is equal."""
        known = np.zeros(len(times), dtype=bool)
        for run in self.runs:
            known |= self._in_run(run, first, second, times)
        kept = np.zeros(len(times), dtype=bool)
        left = np.flatnonzero(~known)
        while len(left):
            order = np.lexsort((left, second[left], first[left]))
            rows = left[order]
            begins = np.ones(len(rows), dtype=bool)
            begins[1:] = (first[rows][1:] != first[rows][:-1]) | (second[rows][1:] != second[rows][:-1])
            leaders = rows[begins][np.cumsum(begins) - 1]
            kept[rows[begins]] = True
            # Equal to the first of them, but so much later or earlier that it is one of its own: looked at again.
            apart = np.abs(times[rows] - times[leaders]) > self._within
            left = np.sort(rows[apart])
        return kept

    def _in_run(self, run: Run, first: np.ndarray, second: np.ndarray, times: np.ndarray) -> np.ndarray:
        found = np.zeros(len(first), dtype=bool)
        at = np.searchsorted(run.first, first, "left")
        open_ = np.flatnonzero(at < len(run.first))
        while len(open_):
            places = at[open_]
            open_ = open_[run.first[places] == first[open_]]
            places = at[open_]
            equal = run.second[places] == second[open_]
            near = np.abs(run.times[places] - times[open_]) <= self._within
            found[open_[equal & near]] = True
            open_ = open_[~(equal & near)]
            at[open_] += 1
            open_ = open_[at[open_] < len(run.first)]
        return found

    def with_run(self, name: str, first: np.ndarray, second: np.ndarray, times: np.ndarray) -> "Seen":
        """What is remembered with these, of which the new run is the only one that has no file yet."""
        runs = list(self.runs)
        while (
            runs
            and len(times)
            and len(runs[-1].times) <= 2 * len(times)
            and len(runs[-1].times) + len(times) <= MOST_IN_A_RUN
        ):
            last = runs.pop()
            first, second, times = (
                np.concatenate(pair) for pair in ((last.first, first), (last.second, second), (last.times, times))
            )
        if len(times):
            order = np.argsort(first, kind="stable")
            runs.append(Run(name, first[order], second[order], times[order]))
        return Seen(self._within, runs)

    def forget(self, watermark: int) -> "Seen":
        """What may still matter: nothing comes any more that happened before the watermark."""
        return Seen(self._within, [run for run in self.runs if run.newest >= watermark - self._within])
