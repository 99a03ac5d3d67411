"""detect: adds scores of how unusual a number is among those before it, in the order of the windows' ends."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.windows import Detect
from headrace_workers.data.steps.detection import Detection
from headrace_workers.data.steps.step import Context, Decision, Outcome, column_of, with_column

ALONE = Context("detect")
"""Where the step stands when it is called by itself."""

ORDER = "window_end"


def measure(table: pa.Table, settings: Detect, context: Context = ALONE) -> pa.Table:
    """What the scores depend on."""
    names = dict.fromkeys((ORDER, settings.column, *settings.by))
    return pa.table({name: column_of(table, name, context.place) for name in names})


def decide(measured: Sequence[pa.Table], settings: Detect, context: Context = ALONE) -> Decision:
    """For each shard the scores of its records."""
    rows = pa.concat_tables(measured)
    order = pc.sort_indices(rows, [(ORDER, "ascending")]).to_numpy()
    scored = Detection(settings).scored(rows.take(pa.array(order)), context.place)[settings.into].combine_chunks()
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    scores = scored.take(pa.array(back))
    ends = np.cumsum([each.num_rows for each in measured])
    return Decision(
        tuple(scores.slice(end - each.num_rows, each.num_rows) for end, each in zip(ends, measured, strict=True))
    )


def apply(
    table: pa.Table, settings: Detect, decision: pa.Array, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The batch with its scores."""
    return Outcome(with_column(table, settings.into, decision.slice(rows_before, table.num_rows)))
