"""scale: fitted on the training split, merged exactly over shards, the same in the table and in serving."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.api.steps import Scale, ScaleMethod, Step
from headrace_workers.data.steps import run_step, scale
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep, Preprocessing

RANDOM = np.random.default_rng(1)


def lists(values: np.ndarray) -> pa.Array:
    """Rows as lists of float32."""
    return pa.array(values.tolist(), pa.list_(pa.float32()))


def test_standard_brings_the_training_split_to_mean_0_and_deviation_1() -> None:
    """Only training records decide; all are scaled."""
    table = pa.table({"x": [1.0, 3.0, 100.0], "split": ["train", "train", "validation"]})
    assert run_step(table, Step(scale=Scale(column="x"))).table["x"].to_pylist() == [-1.0, 1.0, 98.0]


def test_without_a_split_all_records_decide() -> None:
    """MinMax over all records ends at 0 and 1."""
    table = pa.table({"x": pa.array([2, 4, 6])})
    assert run_step(table, Step(scale=Scale(column="x", method=ScaleMethod.MIN_MAX))).table["x"].to_pylist() == [
        0.0,
        0.5,
        1.0,
    ]


def test_an_element_that_never_changes_is_only_shifted() -> None:
    """A deviation of zero divides by one."""
    table = pa.table({"x": lists(np.array([[5.0, 1.0], [5.0, 3.0]]))})
    assert run_step(table, Step(scale=Scale(column="x"))).table["x"].to_pylist() == [[0.0, -1.0], [0.0, 1.0]]


def test_shards_and_batches_decide_as_one_table_does() -> None:
    """Moments merged over uneven batches equal those of the whole, far from zero too."""
    values = RANDOM.normal(1000, 3, (500, 4))
    settings = Scale(column="x")
    cuts = [values[:7], values[7:200], values[200:]]
    measured = [scale.measure(pa.table({"x": lists(cut)}), settings) for cut in cuts]
    together = scale.decide([pa.concat_tables(measured[:2]), measured[2]], settings).by_shard[0]
    exact = values.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(together.offset, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(together.divisor, exact.std(axis=0), rtol=1e-9)


def test_serving_scales_as_the_pipeline_did() -> None:
    """A raw instance through Preprocessing equals its row in the table, bit for bit."""
    raw = RANDOM.normal(8, 4, (20, 4)).astype(np.float32)
    table, settings = pa.table({"features": lists(raw)}), Scale(column="features")
    decision = scale.decide([scale.measure(table, settings)], settings).by_shard[0]
    in_table = np.array(scale.apply(table, settings, decision).table["features"].to_pylist(), dtype=np.float32)
    served = Preprocessing(features="features", steps=(FittedStep(scale=decision),)).apply(raw.tolist())
    assert (in_table == served).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array(["a"]), "WrongColumnType"),
        (pa.array([None, 1.0]), "MissingValues"),
        (pa.array([[1.0], [1.0, 2.0]]), "UnequalLengths"),
        (pa.array([float("inf")]), "NotFinite"),
    ],
)
def test_columns_that_cannot_be_scaled_are_faults(values: pa.Array, reason: str) -> None:
    """What is wrong with the column is the fault's reason."""
    with pytest.raises(RunFault) as caught:
        run_step(pa.table({"x": values}), Step(scale=Scale(column="x")))
    assert caught.value.reason == reason


def test_nothing_to_fit_on_is_a_fault() -> None:
    """A training split without records cannot be fitted on."""
    with pytest.raises(RunFault, match="no record of the training split"):
        run_step(pa.table({"x": [1.0], "split": ["validation"]}), Step(scale=Scale(column="x")))
