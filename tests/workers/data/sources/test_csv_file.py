"""CSV: good rows keep their lines, bad rows go to the quarantine, and neither harms the other."""

import io

import pytest

from headrace_workers.data.sources import csv_file
from headrace_workers.faults import RunFault


def read(content: bytes) -> tuple[list[dict[str, object]], list[tuple[str, str, str]]]:
    """The rows, and (code, position, message) of the bad ones."""
    batches = list(csv_file.read(io.BytesIO(content), "x.csv"))
    rows = [row for batch in batches for row in batch.table.to_pylist()]
    return rows, [(bad.code, bad.position, bad.message) for batch in batches for bad in batch.bad]


def test_makes_ids_of_file_and_line() -> None:
    """A source without ids gets file:line, the header being line 1."""
    rows, bad = read(b"text,label\ngood,1\nbad,0\n")
    assert rows == [{"id": "x.csv:2", "text": "good", "label": "1"}, {"id": "x.csv:3", "text": "bad", "label": "0"}]
    assert bad == []


def test_keeps_the_sources_own_ids() -> None:
    """The source's id stays; only a missing one is made."""
    rows, _ = read(b"id,text\na,one\n,two\n")
    assert [row["id"] for row in rows] == ["a", "x.csv:3"]


def test_a_row_with_too_few_fields_is_bad_and_the_others_go_on() -> None:
    """A short row and a long row are bad; the lines of the rows after them are right."""
    rows, bad = read(b"a,b,c\n1,2,3\n\n4,5\n6,7,8\n9,10,11,12\n13,14,15\n")
    assert [row["id"] for row in rows] == ["x.csv:2", "x.csv:5", "x.csv:7"]
    assert bad == [
        ("WrongFieldCount", "file x.csv line 4", "expected 3 fields, found 2"),
        ("WrongFieldCount", "file x.csv line 6", "expected 3 fields, found 4"),
    ]


def test_a_bad_row_at_the_end_is_found() -> None:
    """A bad row that no good row follows is not lost."""
    rows, bad = read(b"a,b\n1,2\n3\n")
    assert len(rows) == 1
    assert bad == [("WrongFieldCount", "file x.csv line 3", "expected 2 fields, found 1")]


def test_a_file_of_bad_rows_only_loses_none() -> None:
    """Where no row is good, every bad one is still counted."""
    rows, bad = read(b"a,b\n1\n2\n")
    assert rows == []
    assert [position for _, position, _ in bad] == ["file x.csv line 2", "file x.csv line 3"]


def test_quoted_line_ends_count_as_lines() -> None:
    """A value with a line end is one value, and the rows after it keep the lines that an editor shows."""
    rows, bad = read(b'a,b\n"one\ntwo",2\n3\n4,5\n')
    assert rows[0]["a"] == "one\ntwo"
    assert rows[1]["id"] == "x.csv:5"
    assert bad[0][1] == "file x.csv line 4"


def test_an_empty_field_is_missing() -> None:
    """Nothing between commas is a missing value."""
    assert read(b"a,b\n,2\n")[0][0]["a"] is None


def test_bytes_that_are_not_utf8_make_one_bad_row() -> None:
    """A wrongly encoded row does not take its neighbours with it."""
    rows, bad = read(b"a,b\nfine,1\n\xff\xfe,2\nalso,3\n")
    assert [row["id"] for row in rows] == ["x.csv:2", "x.csv:4"]
    assert bad == [("BadEncoding", "file x.csv line 3", "not UTF-8")]


def test_empty_lines_are_no_records_in_a_file_of_one_column() -> None:
    """In a file of one column an empty line is not a missing value."""
    rows, _ = read(b"text\none\n\ntwo\n")
    assert [row["id"] for row in rows] == ["x.csv:2", "x.csv:4"]


def test_an_empty_file_has_no_records() -> None:
    """A file without even a header is read as nothing."""
    assert read(b"") == ([], [])


def test_a_header_with_two_equal_names_is_refused() -> None:
    """Two columns of one name cannot be told apart."""
    with pytest.raises(RunFault, match="names 'a' twice"):
        read(b"a,a\n1,2\n")


def test_lines_are_right_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in blocks changes neither ids nor bad rows."""
    lines = [b"a,b"] + [b"%d" % n if n % 7 == 0 else b"%d,x" % n for n in range(2, 2000)]
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 256)
    rows, bad = read(b"\n".join(lines) + b"\n")
    assert all(row["id"] == f"x.csv:{row['a']}" for row in rows)
    assert [position for _, position, _ in bad] == [f"file x.csv line {n}" for n in range(2, 2000) if n % 7 == 0]
