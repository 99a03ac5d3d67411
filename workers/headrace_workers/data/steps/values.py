"""Values of columns of text or integers as text, for what is done to each of them."""

import pyarrow as pa

from headrace_workers.data.steps.step import column_of
from headrace_workers.faults import RunFault


def values_of(table: pa.Table, name: str, place: str) -> list[str | None]:
    """The column's values as text; RunFault for other columns: a fraction has more than one."""
    column = column_of(table, name, place)
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise RunFault(
            "WrongColumnType",
            f"{place} needs text or integers in the column {name}, which holds {kind}; name another column",
        )
    found: list[str | None] = column.cast(pa.large_string()).to_pylist()
    return found


def records_of(table: pa.Table) -> list[str]:
    """Each record's id; its row where the table has none."""
    if "id" not in table.column_names:
        return [str(row) for row in range(table.num_rows)]
    return [str(key) for key in table["id"].to_pylist()]
