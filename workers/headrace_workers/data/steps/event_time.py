"""eventTime: sends records without a readable time to the quarantine; no step of the API, but what stands before the first one."""

import pyarrow as pa

from headrace.api.windows import EventTime
from headrace_workers.data.steps import event_times
from headrace_workers.data.steps.step import Context, Outcome

ALONE = Context("eventTime")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: EventTime, context: Context = ALONE) -> Outcome:
    """The records that say when they happened."""
    return event_times.apply(table, settings.column, context)[0]
