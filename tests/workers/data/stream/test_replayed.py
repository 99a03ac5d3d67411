"""What is remembered of repairs: which were taken, and how many of each message."""

from headrace.api.quarantine_line import QuarantineLine
from headrace_workers.data.stream.replayed import Replayed

FIRST = QuarantineLine(source="record a", at="t/0/1", record={"x": 1})
SECOND = FIRST.model_copy(update={"record": {"x": 2}})


def test_repairs_are_known_by_message_and_record() -> None:
    """However the record is written; another repair of the message is another one."""
    replayed = Replayed().with_lines([FIRST], "f")
    assert replayed.has(FIRST.model_copy(update={"record": '{"x": 1}', "source": "t/0/1"}))
    assert not replayed.has(SECOND)
    assert (replayed.times("t/0/1"), replayed.times("t/0/2")) == (1, 0)
    assert replayed.with_lines([SECOND], "g").times("t/0/1") == 2


def test_its_file_brings_it_back() -> None:
    """The same, under the file's name."""
    replayed = Replayed().with_lines([FIRST, SECOND], "f")
    assert Replayed.of("f", replayed.content) == replayed
