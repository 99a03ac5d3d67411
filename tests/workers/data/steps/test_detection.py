"""Scores: what they are, what they forget, and that a restart changes no bit."""

import json
import statistics

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.windows import Detect
from headrace_workers.data.steps.detection import Detection
from headrace_workers.faults import RunFault


def detect(**gaussian: int) -> Detect:
    return Detect.model_validate({"column": "v", "by": ["k"], "gaussian": {"last": 8, "atLeast": 4} | gaussian})


def series(count: int = 300) -> pa.Table:
    random = np.random.default_rng(1)
    return pa.table({"k": [f"k{row % 3}" for row in range(count)], "v": random.normal(20, 2, count)})


def test_the_share_that_is_nearer() -> None:
    """Of the normal distribution of the last values of the same group, as Python's own statistics has it."""
    table = series()
    scores = Detection(detect()).scored(table, "detect")["anomaly"].to_pylist()
    last: dict[str, list[float]] = {}
    for key, value, score in zip(table["k"].to_pylist(), table["v"].to_pylist(), scores, strict=True):
        before = last.setdefault(key, [])[-8:]
        if len(before) < 4:
            assert score == 0.0
        else:
            normal = statistics.NormalDist.from_samples(before)
            assert score == pytest.approx(2 * abs(normal.cdf(value) - 0.5), abs=1e-12)
        last[key].append(value)


def test_a_restart_changes_no_bit() -> None:
    """The state goes through JSON after every seventh record."""
    table, parts = series(), []
    running = Detection(detect())
    for start in range(0, table.num_rows, 7):
        parts.append(running.scored(table.slice(start, 7), "detect"))
        running = Detection(detect(), json.loads(json.dumps(running.state())))
    assert pa.concat_tables(parts).combine_chunks().equals(Detection(detect()).scored(table, "detect").combine_chunks())


def test_values_that_never_change_and_values_that_are_missing() -> None:
    """What differs from a constant is as unusual as can be; what is missing has no score and counts for nothing."""
    values = [5.0, 5.0, None, 5.0, float("nan"), 5.0, 5.0, 6.0]
    table = pa.table({"k": ["a"] * 8, "v": pa.array(values, pa.float64())})
    assert Detection(detect()).scored(table, "detect")["anomaly"].to_pylist() == [0, 0, None, 0, None, 0, 0, 1]


def test_what_is_no_number() -> None:
    """Is refused with the step's place."""
    with pytest.raises(RunFault, match=r"steps\[3\]\.detect needs numbers in the column v"):
        Detection(detect()).scored(pa.table({"k": ["a"], "v": ["b"]}), "steps[3].detect")
