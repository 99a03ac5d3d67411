"""A line of the quarantine: what it says, and whether its record hides something still."""

import pytest

from headrace.api.quarantine_line import NotALine, QuarantineLine, digest, numbered, parsed


def test_a_record_is_an_object_its_text_or_a_line() -> None:
    """The same object gives the same digest, however it is written; a line of the source has no columns."""
    lines = [QuarantineLine(source="record a", record=record) for record in ({"x": 1, "y": 2}, '{"y": 2, "x": 1}')]
    assert lines[0].columns == lines[1].columns == {"x": 1, "y": 2}
    assert lines[0].digest == lines[1].digest
    assert [QuarantineLine(source="a", record=text).columns for text in ("1,2", "{", "[1]")] == [None] * 3


def test_a_message_outweighs_an_id() -> None:
    """A place is the message that a record was, or else what its source says."""
    line = QuarantineLine(source="record a", record={})
    assert (line.place, line.model_copy(update={"at": "t/0/1"}).place) == ("a", "t/0/1")


def test_what_is_still_hidden() -> None:
    """A column that was hidden and is as it was, and whatever is withheld, listed or not."""
    line = QuarantineLine(
        source="a", record={"a": "x", "b": "y", "c": "[withheld]", "d": 1}, hidden={"a": digest("x"), "b": digest("z")}
    )
    assert line.still_hidden == ("a", "c")
    assert QuarantineLine(source="a", record="[withheld]").still_hidden == ("",)


def test_empty_lines_are_none() -> None:
    """They are counted, as editors count lines."""
    assert list(numbered([b"\xef\xbb\xbf{}\n", b" \r\n", b"[]"])) == [(1, b"{}"), (3, b"[]")]


def test_unknown_fields_are_told() -> None:
    """A misspelled field is no repair."""
    with pytest.raises(NotALine, match="has a wrong field recrod"):
        parsed(b'{"source": "a", "recrod": {}, "record": {}}')
