"""What the pieces before a barrier measured: read when it is asked for, as there may be more of it than memory holds."""

from collections.abc import Sequence
from typing import overload

import pyarrow as pa

from headrace_workers.data import pieces
from headrace_workers.data.sealed import SealedFolder


class Measurements(Sequence[pa.Table]):
    """A table for each shard, all with the same columns; an empty one for a shard without records."""

    def __init__(self, folder: SealedFolder, names: Sequence[str]) -> None:
        """`names` are those of the pieces."""
        self._folder, self._names = folder, names
        found = (pieces.measured(folder, name) for name in names)
        self.known = next((table.schema for table in found if table is not None), None)
        """The columns; None if no shard has a record."""

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, at: int) -> pa.Table: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[pa.Table]: ...
    def __getitem__(self, at: int | slice) -> pa.Table | Sequence[pa.Table]:
        if isinstance(at, slice):
            return [self[position] for position in range(*at.indices(len(self)))]
        assert self.known is not None
        measured = pieces.measured(self._folder, self._names[at])
        return self.known.empty_table() if measured is None else measured
