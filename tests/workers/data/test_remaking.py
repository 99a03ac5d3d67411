"""A repaired record becomes what its source would have made of it, or is bad again with a reason."""

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.api.data_pipeline import Source
from headrace.api.quarantine_line import QuarantineLine
from headrace_workers.data.remaking import Repaired, remade
from headrace_workers.data.sources.shard import Shard

TYPED = pa.schema(
    [
        ("id", pa.string()),
        ("x", pa.int32()),
        ("day", pa.date32()),
        ("many", pa.list_(pa.float32())),
        ("raw", pa.list_(pa.binary())),
        ("pair", pa.struct({"a": pa.int8(), "b": pa.string()})),
    ]
)
CSV = pa.schema([("id", pa.string()), ("x", pa.string()), ("y", pa.string())])


def made(file_format: str, schema: pa.Schema, record: Any, folder: Path | None = None, stage: str = "") -> Any:
    """What one record becomes: its columns, or code and message."""
    source = Source.model_validate({"files": {"uri": "file:///a", "format": file_format}})
    line = QuarantineLine(source="record r", record=record, stage=stage)
    batch = remade(source, Shard("a", f"file://{folder}/a"), schema, [Repaired("r", line)])
    assert batch.records == 1
    return batch.table.to_pylist()[0] if batch.table.num_rows else (batch.bad[0].code, batch.bad[0].position)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"x": 1, "day": "2026-01-02", "many": [1, 2.5], "split": "train"}, {"id": "r", "x": 1, "day": date(2026, 1, 2), "many": [1.0, 2.5], "raw": None, "pair": None}),
        ({"id": 7, "pair": {"a": 1}}, {"id": "7", "x": None, "day": None, "many": None, "raw": None, "pair": {"a": 1, "b": None}}),
        ({"x": 2**40}, ("WrongType", "record r")),
        ({"x": 1.5}, ("WrongType", "record r")),
        ({"x": True}, ("WrongType", "record r")),
        ({"raw": ["b'1'"]}, ("WrongType", "record r")),
        ({"pair": {"a": 1.5}}, ("WrongType", "record r")),
        ({"pair": {"a": 1, "c": 2}}, ("WrongType", "record r")),
        ({"day": "tomorrow"}, ("WrongType", "record r")),
        ({"z": 1}, ("UnknownColumn", "record r")),
        ("no object", ("NotAnObject", "record r")),
    ],
)  # fmt: skip
def test_typed(record: Any, expected: Any) -> None:
    """A value is of the column's type, or the record is bad; what steps had added is left out."""
    assert made("Parquet", TYPED, record) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"x": 1, "y": None}, {"id": "r", "x": "1", "y": None}),
        ({"x": True, "y": ""}, {"id": "r", "x": "true", "y": None}),
        ('7,"a,b"\n', {"id": "r", "x": "7", "y": "a,b"}),
        ("7", ("WrongFieldCount", "record r")),
        ({"z": 1}, ("UnknownColumn", "record r")),
    ],
)
def test_csv(tmp_path: Path, record: Any, expected: Any) -> None:
    """Values are text, and an empty one is missing; a line has the columns of its file's header."""
    (tmp_path / "a").write_text("x,y\n")
    assert made("Csv", CSV, record, tmp_path) == expected


@pytest.mark.parametrize(
    ("record", "stage", "expected"),
    [
        ("a line", "source", "a line"),
        ('{"text": "a"}', "source", '{"text": "a"}'),
        ('{"text": "a"}', "steps[0].validate", "a"),
        ({"text": "a"}, "source", "a"),
    ],
)
def test_text(record: Any, stage: str, expected: str) -> None:
    """What was bad as a line is repaired as one."""
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    assert made("Text", schema, record, stage=stage) == {"id": "r", "text": expected}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"n": 2**70, "split": "train"}, {"id": "r", "n": str(2**70)}),
        ('{"id": 7, "n": 1}', {"id": "7", "n": 1}),
        ("{}", {"id": "r"}),
        ('{"n": ', ("BrokenJson", "record r")),
    ],
)
def test_json(record: Any, expected: Any) -> None:
    """An object is read as a line of the source is."""
    assert made("JsonLines", pa.schema([("id", pa.string())]), record) == expected
