"""A table as others read it."""

import pyarrow as pa


def final_form(table: pa.Table) -> pa.Table:
    """The table with id and split first; a pipeline without a split has training records only."""
    if "split" not in table.column_names:
        table = table.append_column("split", pa.array(["train"] * table.num_rows, pa.string()))
    return table.select(["id", "split", *(name for name in table.column_names if name not in ("id", "split"))])
