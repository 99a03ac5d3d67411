"""A piece is what was added, in its order; what a stage did not change is not written again."""

from pathlib import Path

import pyarrow as pa

from headrace_workers.data import pieces
from headrace_workers.data.pieces import Manifest, PieceWriter
from headrace_workers.data.sealed import SealedFolder
from headrace_workers.storage import Folder
from tests.workers.data.builders import files, pipeline, prepare, table_of


def test_parts_of_the_piece_before_keep_their_place(tmp_path: Path) -> None:
    """Between what is written anew."""
    folder = SealedFolder(f"file:{tmp_path}", b"")
    before = PieceWriter(folder, "000-000000")
    before.add(pa.table({"v": [2, 3]}))
    first = before.close(Manifest())
    writer = PieceWriter(folder, "001-000000")
    writer.add(pa.table({"v": [1]}))
    writer.keep(first.parts[0], 2)
    writer.add(pa.table({"v": [4]}))
    manifest = writer.close(Manifest())
    assert manifest.rows == 4
    assert [value for table in pieces.batches(folder, manifest) for value in table["v"].to_pylist()] == [1, 2, 3, 4]
    assert first.parts[0] in manifest.parts


def test_a_stage_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    """Types that all agree already, and no duplicate in one of two files: only the other's records are written again."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"id": "1", "v": 1}\n{"id": "2", "v": 2}\n')
    (tmp_path / "in" / "b.jsonl").write_text('{"id": "3", "v": 2}\n{"id": "4", "v": 4}\n')
    prepared = prepare(
        pipeline(files(tmp_path / "in", "JsonLines"), {"deduplicate": {"exact": {"columns": ["v"]}}}), tmp_path / "run"
    )
    assert table_of(prepared)["id"].to_pylist() == ["1", "2", "4"]
    folder = Folder(f"file:{next((tmp_path / 'run' / 'stages').iterdir())}")
    last = [pieces.finished(folder, pieces.name_of(2, shard)) for shard in range(2)]
    assert [manifest.parts for manifest in last if manifest] == [("000-000000-0000.arrow",), ("002-000001-0000.arrow",)]
