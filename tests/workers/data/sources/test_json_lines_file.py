"""JSON Lines: one broken line costs one record, and texts stay texts."""

import io

import pytest

from headrace_workers.data.sources import json_lines_file


def test_broken_lines_are_bad_and_the_others_go_on() -> None:
    """Lines that are no objects go to the quarantine with their line and raw text."""
    content = b'{"text": "one"}\n{"text": \n\n[1]\n{"text": "two"}\n'
    (batch,) = json_lines_file.read(io.BytesIO(content), "x.jsonl")
    assert batch.table.to_pylist() == [{"id": "x.jsonl:1", "text": "one"}, {"id": "x.jsonl:5", "text": "two"}]
    assert [(bad.code, bad.position, bad.record) for bad in batch.bad] == [
        ("BrokenJson", "file x.jsonl line 2", '{"text": '),
        ("NotAnObject", "file x.jsonl line 4", "[1]"),
    ]


@pytest.mark.parametrize("line", [b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\xff"}', b"[" * 100_000])
def test_what_is_not_json_is_bad(line: bytes) -> None:
    """What Python would let pass, or choke on, is a bad record too."""
    (batch,) = json_lines_file.read(io.BytesIO(line), "x")
    assert len(batch.bad) == 1
    assert batch.table.num_rows == 0


def test_texts_that_look_like_numbers_stay_texts() -> None:
    """A quoted 007 is a text."""
    (batch,) = json_lines_file.read(io.BytesIO(b'{"a": "007"}\n'), "x")
    assert batch.table["a"].to_pylist() == ["007"]


def test_a_column_of_several_types_keeps_every_value_as_text() -> None:
    """Values of several types in one column are kept as text, not lost."""
    (batch,) = json_lines_file.read(io.BytesIO(b'{"a": 1}\n{"a": "x"}\n{"a": [2]}\n'), "x")
    assert batch.table["a"].to_pylist() == ["1", "x", "[2]"]


def test_objects_without_fields_are_records() -> None:
    """An empty object is a record with nothing but an id."""
    (batch,) = json_lines_file.read(io.BytesIO(b"{}\n{}\n"), "x")
    assert batch.table.to_pylist() == [{"id": "x:1"}, {"id": "x:2"}]
