"""What was measured is read when it is asked for, with an empty table for a shard without records."""

from pathlib import Path

import pyarrow as pa

from headrace_workers.data.measurements import Measurements
from headrace_workers.data.pieces import Manifest, PieceWriter
from headrace_workers.data.sealed import SealedFolder


def written(folder: SealedFolder, name: str, tables: list[pa.Table]) -> None:
    writer = PieceWriter(folder, name)
    writer.measure(tables)
    writer.close(Manifest())


def test_every_shard_has_a_table(tmp_path: Path) -> None:
    """In the order of the names, all with the same columns, as often as they are asked for."""
    folder = SealedFolder(f"file:{tmp_path}", b"")
    written(folder, "a", [])
    written(folder, "b", [pa.table({"v": [1, 2]}), pa.table({"v": [3]})])
    measured = Measurements(folder, ["a", "b"])
    assert measured.known == pa.schema({"v": pa.int64()})
    for _ in range(2):
        assert [table["v"].to_pylist() for table in measured] == [[], [1, 2, 3]]
    assert [table.num_rows for table in measured[1:]] == [3]


def test_without_any_record_nothing_is_known(tmp_path: Path) -> None:
    """Not even the columns."""
    folder = SealedFolder(f"file:{tmp_path}", b"")
    written(folder, "a", [])
    assert Measurements(folder, ["a"]).known is None
