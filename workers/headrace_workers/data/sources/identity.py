"""The column `id` of records that were read: the source's own, or the file's name and the line."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def with_id(table: pa.Table, name: str, lines: Sequence[int] | np.ndarray) -> pa.Table:
    """The table with `id` as text, first; where the source has none, or none for a record, it is file:line."""
    made = pa.array([f"{name}:{line}" for line in lines], pa.string())
    if "id" not in table.column_names:
        return table.add_column(0, "id", made)
    given = table["id"].cast(pa.string()).combine_chunks()
    return table.drop_columns("id").add_column(0, "id", pc.coalesce(given, made))
