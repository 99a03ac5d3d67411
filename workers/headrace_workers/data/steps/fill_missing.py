"""fillMissing: replaces missing values of a column, NaN included."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.steps import FillMissing
from headrace_workers.data.steps.step import Context, Outcome, column_of, with_column
from headrace_workers.faults import RunFault

ALONE = Context("fillMissing")
"""Where the step stands when it is called by itself."""


def apply(table: pa.Table, settings: FillMissing, context: Context = ALONE) -> Outcome:
    """The table with every missing value of the column replaced."""
    column = column_of(table, settings.column, context.place)
    try:
        value = pa.scalar(settings.value).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise RunFault(
            "BadFillValue",
            f"{context.place}.value {settings.value!r} cannot be read as {column.type}, the type of the column {settings.column}; "
            f"write a value of that type",
        ) from None
    missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    return Outcome(with_column(table, settings.column, pc.if_else(missing, value, column)))
