"""A repaired file held against the quarantine: what is new, what was left as it is, what is wrong."""

import json
from typing import Any

from headrace.api.quarantine_line import QuarantineLine, digest
from headrace.cli.repairing import compared, left_of

BAD = QuarantineLine(stage="steps[0].validate", source="record a", record='{"x": -1}', version="1")
BROKEN = QuarantineLine(stage="source", source="file a line 7", record="{", version="1")
HIDDEN = QuarantineLine(source="record b", record='{"mail": "[Email]"}', hidden={"mail": digest("[Email]")})


def told(*lines: Any, left: tuple[QuarantineLine, ...] = (BAD, BROKEN, HIDDEN), given: tuple[QuarantineLine, ...] = ()):
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    return compared("f", texts, left, given)


def test_repaired_lines_are_new_and_others_stay() -> None:
    """What a line of the file lacks beside source and record is taken from the quarantine."""
    found = told(
        BAD.wire(), {"source": "file a line 7", "record": {"x": 1}}, {"source": "file a line 7", "record": '{"x":1}'}
    )
    assert (found.unchanged, found.earlier, found.problems) == (1, 0, ())
    assert [(line.source, line.version) for line in found.lines] == [("file a line 7", "1")]


def test_what_was_given_before_is_no_problem() -> None:
    """The same command again does nothing."""
    done = BAD.model_copy(update={"record": {"x": 1}})
    found = told(done.wire(), left=(), given=(done,))
    assert (found.lines, found.earlier, found.problems) == ((), 1, ())


def test_problems_have_their_line() -> None:
    """Each says what is wrong, and nothing of the file is taken for granted: not even what it says is hidden."""
    found = told(
        b"{",
        {"source": "record z", "record": {}},
        {"source": "record b", "record": {"mail": "[Email]", "x": 1}},
        {"source": "record a", "record": {"x": 1}},
        {"source": "record a", "record": {"x": 2}},
    )
    assert [problem.partition(" ")[2][:40] for problem in found.problems] == [
        "line 1 is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"[:40],
        "line 2: record z is not in the quarantine"[:40],
        "line 3: record b does not have the value of mail"[:40],
        "line 5 and line 4 repair record a in different ways"[:40],
    ]


def test_an_id_of_several_messages_needs_the_message() -> None:
    """A stream's line keeps its message; without it, an id that several have is not guessed."""
    two = tuple(QuarantineLine(source="record a", record='{"x": -1}', at=f"t/0/{number}") for number in (3, 4))
    assert (
        "is in the quarantine 2 times; keep the field at"
        in told({"source": "record a", "record": {}}, left=two).problems[0]
    )
    (line,) = told({"source": "record a", "record": {}, "at": "t/0/4"}, left=two).lines
    assert line.at == "t/0/4"


def test_each_repair_takes_one_line_of_its_place() -> None:
    """What was still bad is in the quarantine once more, and that is left."""
    again = BAD.model_copy(update={"message": "still"})
    assert left_of([BAD, BROKEN, again], [BAD]) == [BROKEN, again]
