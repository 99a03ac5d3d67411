"""Windows come to the same bits in whatever order and batches records come; nothing is lost between open, late and done."""

import math
import statistics
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.windows import Window
from headrace_workers.data.steps.open_windows import FOREVER, OpenWindows, entries
from headrace_workers.faults import RunFault

SECOND = 1_000_000
MEASURES = {
    "n": {"count": {}}, "rate": {"rate": {}}, "sum": {"sum": {"column": "v"}}, "mean": {"mean": {"column": "v"}},
    "deviation": {"deviation": {"column": "v"}}, "low": {"min": {"column": "v"}}, "high": {"max": {"column": "v"}},
    "median": {"quantile": {"column": "v", "q": 0.5}}, "p90": {"quantile": {"column": "v", "q": 0.9}},
}  # fmt: skip


def window(seconds: int = 10, every: int | None = None, by: tuple[str, ...] = ("k",)) -> Window:
    measures = [{"into": into, "measure": measure} for into, measure in MEASURES.items()]
    more = {"everySeconds": every} if every else {}
    return Window.model_validate({"seconds": seconds, "by": by, "measures": measures, **more})


def events(count: int, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Events over a hundred seconds, of three keys and none, with missing values."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 100 * SECOND, count))
    keys = random.choice(["a", "b", "c", ""], count)
    values = random.normal(size=count) * 10.0 ** random.integers(-6, 7, count)
    return pa.table(
        {
            "k": pa.array([key or None for key in keys], pa.string()),
            "v": pa.array(values, mask=random.random(count) < 0.1),
        }
    ), times


def whole(table: pa.Table, times: np.ndarray, spec: Window) -> pa.Table:
    windows = OpenWindows(spec)
    windows.add(entries(table, times, spec, -1, "window")[0])
    rows, done = windows.close(FOREVER)
    assert (done, windows.held) == (table.num_rows, 0)
    assert rows is not None
    return rows


@pytest.mark.parametrize("spec", [window(), window(12, 5), window(10, 10, ()), window(3, 1)])
def test_measures_are_what_they_say(spec: Window) -> None:
    """As Python's own statistics has them of each window's values."""
    table, times = events(500)
    rows = whole(table, times, spec).to_pylist()
    records = list(zip(times.tolist(), table["k"].to_pylist(), table["v"].to_pylist(), strict=True))
    expected: dict[tuple[int, Any], list[float | None]] = {}
    for time, key, value in records:
        start = time // (spec.distance * SECOND) * spec.distance
        while start > time / SECOND - spec.seconds and start >= 0:
            expected.setdefault((start, key if spec.by else None), []).append(value)
            start -= spec.distance
    assert len(rows) == len(expected)
    for row in rows:
        values = expected[round(row["window_start"].timestamp()), row.get("k")]
        there = [value for value in values if value is not None]
        assert (row["window_end"] - row["window_start"]).total_seconds() == spec.seconds
        assert (row["n"], row["rate"]) == (len(values), len(values) / spec.seconds)
        if not there:
            assert [row[name] for name in ("sum", "mean", "deviation", "low", "high", "median")] == [None] * 6
            continue
        assert (row["low"], row["high"]) == (min(there), max(there))
        close = {
            "sum": math.fsum(there), "mean": statistics.fmean(there), "deviation": statistics.pstdev(there),
            "median": statistics.median(there), "p90": float(np.quantile(there, 0.9)),
        }  # fmt: skip
        for name, value in close.items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * max(map(abs, there))), name


@pytest.mark.parametrize("seed", range(20))
def test_order_batches_and_restarts_change_no_bit(seed: int) -> None:
    """Shuffled within the allowed lateness, in random batches, restored at random moments; later ones are late, and counted."""
    random = np.random.default_rng(seed)
    spec = window(12, 5) if seed % 2 else window()
    table, times = events(400, seed)
    lateness = 7 * SECOND
    order = np.argsort(times + random.integers(0, lateness, len(times)), kind="stable")
    straggler = int(order[0])
    order = np.append(order[1:], straggler)
    windows, closed, rows, done, late = OpenWindows(spec), -1, [], 0, 0
    kept: list[pa.Table] = []
    position = 0
    while position < len(order):
        step = int(random.integers(1, 60))
        chosen = order[position : position + step]
        made, too_late = entries(table.take(pa.array(chosen)), times[chosen], spec, closed, "window")
        windows.add(made)
        kept.append(made)
        late += too_late.num_rows
        closed = max(closed, int(times[order[: position + step]].max()) - lateness)
        closing, finished = windows.close(closed)
        done += finished
        rows += [closing] if closing is not None else []
        if random.random() < 0.2:
            windows = OpenWindows(spec)
            for each in kept:
                still = each["_start"].to_numpy() + spec.seconds * SECOND > closed
                windows.add(each.filter(pa.array(still)))
        assert done + late + windows.held == min(position + step, len(order))
        position += step
    closing, finished = windows.close(FOREVER)
    rows += [closing] if closing is not None else []
    assert (done + finished + late, late) == (len(times), 1)
    in_time = np.setdiff1d(np.arange(len(times)), [straggler])
    expected = whole(table.take(pa.array(in_time)), times[in_time], spec)
    assert pa.concat_tables(rows).equals(expected)


def test_ids_are_stable_and_say_where() -> None:
    """The window's start, and its group."""
    table = pa.table({"k": ["x", None], "v": [1.0, None]})
    rows = whole(table, np.array([5 * SECOND, 25 * SECOND]), window())
    assert rows["id"].to_pylist() == ["1970-01-01T00:00:00Z/x", "1970-01-01T00:00:20Z/%null"]


def test_no_two_windows_have_one_id() -> None:
    """Whatever their groups are called."""
    spec = window(by=("k", "l"))
    names = [("x/y", "z"), ("x", "y/z"), ("null", "a"), (None, "a"), ("%null", "a"), ("x%2Fy", "z")]
    table = pa.table({"k": [k for k, _ in names], "l": [other for _, other in names], "v": [1.0] * len(names)})
    rows = whole(table, np.full(len(names), SECOND), spec)
    assert len(set(rows["id"].to_pylist())) == len(names)


def test_zero_and_infinity() -> None:
    """The order decides over neither's sign, and what is not between two values is one of them."""
    for values in ([0.0, -0.0], [-0.0, 0.0]):
        (row,) = whole(pa.table({"k": ["a", "a"], "v": values}), np.array([1, 2]), window()).to_pylist()
        assert math.copysign(1, row["low"]) == math.copysign(1, row["high"]) == 1
    table = pa.table({"k": ["a"] * 3, "v": [1.0, 2.0, math.inf]})
    (row,) = whole(table, np.array([1, 2, 3]), window()).to_pylist()
    assert (row["median"], row["p90"], row["high"]) == (2.0, math.inf, math.inf)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"k": ["a"], "v": ["high"]}), "WrongColumnType"),
        (pa.table({"k": [["a"]], "v": [1.0]}), "WrongColumnType"),
        (pa.table({"k": ["a"]}), "ColumnNotFound"),
    ],
)
def test_what_cannot_be_measured(table: pa.Table, reason: str) -> None:
    """Text, or nothing at all."""
    with pytest.raises(RunFault) as caught:
        entries(table, np.array([1]), window(), -1, "steps[2].window")
    assert caught.value.reason == reason
    assert "steps[2].window" in caught.value.message


def test_a_column_of_missing_values_alone_has_no_measures() -> None:
    """Of whatever type it is."""
    rows = whole(pa.table({"k": ["a"], "v": pa.array([None], pa.string())}), np.array([1]), window())
    assert (rows["n"].to_pylist(), rows["mean"].to_pylist()) == ([1], [None])
