"""Windows that records still fall into. Whatever order records come in, a window comes to the same bits.

Its values are kept until it closes, 8 bytes for each value and window, and are added up in the order of their size: sums
do not depend on who came first, quantiles are exact, and what was restored equals what never stopped.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.windows import Measure, Window
from headrace_workers.data.steps.event_times import SECOND, UTC_ZONE
from headrace_workers.data.steps.numbers import is_number
from headrace_workers.data.steps.step import column_of
from headrace_workers.faults import RunFault

START, LAST = "_start", "_last"
TIME = pa.timestamp("us", UTC_ZONE)
FOREVER = 2**62
"""A watermark that nothing comes after."""


def measured_columns(window: Window) -> tuple[str, ...]:
    """The columns whose values are kept."""
    return tuple(dict.fromkeys(each.measure.value.column for each in window.measures if _column(each.measure)))


def _column(measure: Measure) -> str | None:
    return getattr(measure.value, "column", None)


def entries(table: pa.Table, times: np.ndarray, window: Window, closed: int, place: str) -> tuple[pa.Table, pa.Table]:
    """One row for each record and window that is open at the watermark `closed`; and the records that have none, which are late.

    `times` are microseconds, one a record. RunFault where a column is not there, or holds no numbers.
    """
    length, distance = window.seconds * SECOND, window.distance * SECOND
    values = {name: _numbers(table, name, place) for name in measured_columns(window)}
    groups = {name: _group(table, name, place) for name in window.by}
    last = times // distance * distance
    late = last + length <= closed
    rows, starts = [], []
    for back in range(-(-length // distance)):
        start = last - back * distance
        open_now = (start + length > times) & (start + length > closed) & (start >= 0)
        rows.append(np.flatnonzero(open_now))
        starts.append(start[open_now])
    row, start = np.concatenate(rows), np.concatenate(starts)
    made = {START: pa.array(start), LAST: pa.array(start == last[row])}
    made |= {f"by.{name}": column.take(pa.array(row)) for name, column in groups.items()}
    made |= {f"of.{name}": pa.array(column[row]) for name, column in values.items()}
    return pa.table(made), table.filter(pa.array(late))


def _group(table: pa.Table, name: str, place: str) -> pa.Array:
    column = column_of(table, name, place).combine_chunks()
    if pa.types.is_nested(column.type):
        raise RunFault(
            "WrongColumnType",
            f"{place} needs text, numbers or times in the column {name} of by, which holds {column.type}; name another column",
        )
    return column


def _numbers(table: pa.Table, name: str, place: str) -> np.ndarray:
    column = column_of(table, name, place).combine_chunks()
    if pa.types.is_null(column.type) or column.null_count == len(column):
        return np.full(len(column), np.nan)
    if not is_number(column.type):
        raise RunFault(
            "WrongColumnType",
            f"{place} needs numbers in the column {name}, which holds {column.type}; a rule of validate with min or max makes numbers of text",
        )
    # Zero has one sign then: which of two comes first would depend on the order otherwise.
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64) + 0.0


class OpenWindows:
    """The entries of the windows that are not closed yet."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._held: list[pa.Table] = []
        self.held = 0
        """Records that wait for the last of their windows."""

    def add(self, made: pa.Table) -> None:
        """Takes entries."""
        if made.num_rows:
            self._held.append(made)
            self.held += int(pc.sum(made[LAST]).as_py() or 0)

    def close(self, watermark: int) -> tuple[pa.Table | None, int]:
        """A row for each window that ends by the watermark, by end and then group; and how many records are done with.

        None where no window closes.
        """
        if not self._held:
            return None, 0
        held = pa.concat_tables(self._held, promote_options="permissive").combine_chunks()
        ends = held[START].to_numpy() + self._window.seconds * SECOND
        ripe = ends <= watermark
        if not ripe.any():
            self._held = [held]
            return None, 0
        closing = held.filter(pa.array(ripe))
        self._held = [held.filter(pa.array(~ripe))]
        done = int(pc.sum(closing[LAST]).as_py())
        self.held -= done
        return rows_of(closing, self._window), done


def rows_of(made: pa.Table, window: Window) -> pa.Table:
    """The result of whole windows."""
    starts = made[START].to_numpy()
    columns = [made[f"by.{name}"].combine_chunks() for name in window.by]
    codes = [
        pc.dictionary_encode(column, null_encoding="encode").indices.to_numpy(zero_copy_only=False)
        for column in columns
    ]
    keys: Sequence[np.ndarray] = (*codes, starts)
    order = np.lexsort(keys)
    changes = np.zeros(len(order), bool)
    changes[:1] = True
    for key in keys:
        changes[1:] |= key[order][1:] != key[order][:-1]
    firsts = np.flatnonzero(changes)
    counts = np.diff(np.append(firsts, len(order)))
    group = np.cumsum(changes) - 1
    start = starts[order][firsts]
    one_of_each = pa.array(order[firsts])
    sorted_values = {
        name: _sorted(made[f"of.{name}"].to_numpy(zero_copy_only=False), keys, group)
        for name in measured_columns(window)
    }
    table = pa.table(
        {
            "window_start": pa.array(start).cast(TIME),
            "window_end": pa.array(start + window.seconds * SECOND).cast(TIME),
            **{name: column.take(one_of_each) for name, column in zip(window.by, columns, strict=True)},
            **{each.into: _measure(each.measure, sorted_values, counts, window.seconds) for each in window.measures},
        }
    )
    table = table.sort_by([("window_end", "ascending"), *((name, "ascending") for name in window.by)])
    return table.add_column(0, "id", _ids(table, window))


def _ids(table: pa.Table, window: Window) -> pa.Array:
    start = pc.strftime(
        table["window_start"].cast(pa.timestamp("s", UTC_ZONE), safe=False), format="%Y-%m-%dT%H:%M:%SZ"
    )
    return pc.binary_join_element_wise(start, *(_escaped(table[name].cast(pa.string())) for name in window.by), "/")


def _escaped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values that no other ones look like once they are joined: a missing one is none."""
    written = pc.replace_substring(pc.replace_substring(values, "%", "%25"), "/", "%2F")
    return pc.fill_null(written, "%null")


Values = tuple[np.ndarray, np.ndarray]
"""Values that are there, group after group and in each by size; and the group of each."""


def _sorted(values: np.ndarray, keys: Sequence[np.ndarray], group: np.ndarray) -> Values:
    order = np.lexsort((values, *keys))
    ordered = values[order]
    there = ~np.isnan(ordered)
    return ordered[there], group[there]


def _measure(measure: Measure, values: dict[str, Values], counts: np.ndarray, seconds: int) -> pa.Array:
    match measure.chosen:
        case "count":
            return pa.array(counts.astype(np.int64))
        case "rate":
            return pa.array(counts / seconds)
    ordered, group = values[measure.value.column]
    result = np.full(len(counts), np.nan)
    there, firsts, number = np.unique(group, return_index=True, return_counts=True)
    if len(there):
        result[there] = _of_sorted(measure, ordered, firsts, number)
    present = np.zeros(len(counts), bool)
    present[there] = True
    return pa.array(result, mask=~present)


def _of_sorted(measure: Measure, ordered: np.ndarray, firsts: np.ndarray, number: np.ndarray) -> np.ndarray:
    match measure.chosen:
        case "min":
            return ordered[firsts]
        case "max":
            return ordered[firsts + number - 1]
        case "sum":
            return np.add.reduceat(ordered, firsts)
        case "mean":
            return np.add.reduceat(ordered, firsts) / number
        case "deviation":
            mean = np.add.reduceat(ordered, firsts) / number
            with np.errstate(invalid="ignore"):  # infinity has no deviation
                return np.sqrt(np.add.reduceat((ordered - np.repeat(mean, number)) ** 2, firsts) / number)
    position = measure.value.q * (number - 1)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, number - 1)
    share = position - low
    below, above = ordered[firsts + low], ordered[firsts + high]
    # Not for whole places, nor between equal values: nothing times infinity would be no number.
    between = (share > 0) & (below != above)
    with np.errstate(invalid="ignore"):
        return np.where(between, below * (1 - share) + above * share, below)
