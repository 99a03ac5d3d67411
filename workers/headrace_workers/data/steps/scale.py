"""scale: brings numbers to one scale. Fitted on the training split where there is one, and applied everywhere.

Moments of batches are merged after Chan, Golub and LeVeque (1979), in the order of the shards, so that the result does
not depend on how many workers measured.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.api.steps import Scale, ScaleMethod
from headrace_workers.data.steps.numbers import array_of, column_from, is_list
from headrace_workers.data.steps.step import Context, Decision, Outcome, with_column
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep, Scaling

ALONE = Context("scale")
"""Where the step stands when it is called by itself."""

LISTS = ("mean", "m2", "low", "high")


def measure(table: pa.Table, settings: Scale, context: Context = ALONE) -> pa.Table:
    """Count, mean, sum of squared deviations, least and greatest, of each element over the training records."""
    values = array_of(table, settings.column, context.place)
    if "split" in table.column_names:
        values = values[np.asarray(table["split"].to_pylist(), dtype=object) == "train"]
    if not np.isfinite(values).all():
        raise RunFault(
            "NotFinite",
            f"{context.place} meets NaN or infinity in the column {settings.column}; put validate with min and max before it",
        )
    rows = values.reshape(len(values), -1) if len(values) else np.zeros((0, 0))
    moments: dict[str, np.ndarray] = {name: np.zeros(0) for name in LISTS}
    if len(rows):
        mean = rows.mean(axis=0)
        moments = {
            "mean": mean,
            "m2": ((rows - mean) ** 2).sum(axis=0),
            "low": rows.min(axis=0),
            "high": rows.max(axis=0),
        }
    columns = {name: pa.array([moments[name].tolist()], pa.list_(pa.float64())) for name in LISTS}
    return pa.table({"count": pa.array([len(rows)], pa.int64()), "lists": pa.array([values.ndim > 1]), **columns})


def decide(measured: Sequence[pa.Table], settings: Scale, context: Context = ALONE) -> Decision:
    """The scaling, the same for every shard; an element that never changes is only shifted."""
    batches = [row for shard in measured for row in shard.to_pylist() if row["count"]]
    if not batches:
        raise RunFault(
            "EmptyDataset", f"{context.place} has no record of the training split to fit on; check the steps before it"
        )
    if len({len(row["mean"]) for row in batches}) > 1:
        raise RunFault(
            "UnequalLengths",
            f"{context.place} needs lists of one length in the column {settings.column}; put validate with length before it",
        )
    count, mean, m2 = 0, np.zeros(len(batches[0]["mean"])), np.zeros(len(batches[0]["mean"]))
    for row in batches:
        both = count + row["count"]
        delta = np.asarray(row["mean"]) - mean
        mean = mean + delta * (row["count"] / both)
        m2 = m2 + np.asarray(row["m2"]) + delta**2 * (count * row["count"] / both)
        count = both
    if settings.method is ScaleMethod.STANDARD:
        offset, divisor = mean, np.sqrt(m2 / count)
    else:
        offset = np.min([row["low"] for row in batches], axis=0)
        divisor = np.max([row["high"] for row in batches], axis=0) - offset
    divisor = np.where(divisor > 0, divisor, 1.0)
    lists = batches[0]["lists"]
    scaling = Scaling(
        column=settings.column,
        method=settings.method.value,
        offset=tuple(offset.tolist()) if lists else float(offset[0]),
        divisor=tuple(divisor.tolist()) if lists else float(divisor[0]),
    )
    return Decision(tuple(scaling for _ in measured), (FittedStep(scale=scaling),))


def apply(
    table: pa.Table, settings: Scale, decision: Scaling, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The table with the column scaled; whole numbers become fractions."""
    kind = table.schema.field(settings.column).type
    if table.num_rows == 0:
        scaled = pa.array([], _scaled_type(kind))
    else:
        scaled = column_from(decision.scaled(array_of(table, settings.column, context.place)), _scaled_type(kind))
    return Outcome(with_column(table, settings.column, scaled))


def _scaled_type(kind: pa.DataType) -> pa.DataType:
    if is_list(kind):
        return pa.list_(pa.float32())
    return kind if pa.types.is_floating(kind) else pa.float64()
