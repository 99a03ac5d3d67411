"""window: makes one record of all that fall into a window of time, in a Batch once all were read."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from headrace.api.windows import Window
from headrace_workers.data.steps import event_times
from headrace_workers.data.steps.open_windows import FOREVER, OpenWindows, entries
from headrace_workers.data.steps.step import Context, Decision, Outcome, column_of
from headrace_workers.faults import RunFault

ALONE = Context("window", event_time="at")
"""Where the step stands when it is called by itself."""

NEVER = -1
"""The watermark before which nothing is late."""


def times_of(table: pa.Table, context: Context) -> np.ndarray:
    """When each record happened; RunFault where a step has rewritten that."""
    times, readable = event_times.read(column_of(table, context.event_time, context.place))
    if not readable.all():
        raise RunFault(
            "StepOrder",
            f"{context.place} cannot read the times of eventTime.column {context.event_time} any more; put it before the step that rewrites them",
        )
    return times


def measure(table: pa.Table, settings: Window, context: Context = ALONE) -> pa.Table:
    """What the windows keep of the records."""
    return entries(table, times_of(table, context), settings, NEVER, context.place)[0]


def decide(measured: Sequence[pa.Table], settings: Window, context: Context = ALONE) -> Decision:
    """All windows' rows, for the first shard that has records; for each other shard none."""
    windows = OpenWindows(settings)
    for each in measured:
        windows.add(each)
    rows, _ = windows.close(FOREVER)
    assert rows is not None
    first = next(position for position, each in enumerate(measured) if each.num_rows)
    nothing = rows.slice(0, 0)
    return Decision(tuple(rows if position == first else nothing for position in range(len(measured))))


def apply(
    table: pa.Table, settings: Window, decision: pa.Table, rows_before: int = 0, context: Context = ALONE
) -> Outcome:
    """The rows of the windows in place of the shard's first records, and nothing in place of its others."""
    rows = decision if table.num_rows and rows_before == 0 else decision.slice(0, 0)
    return Outcome(rows, collapsed=table.num_rows - rows.num_rows)
