"""What the journal keeps through crashes."""

import pytest

from headrace_workers.storage import Folder
from headrace_workers.tune.journal import TRIALS, Ended, Journal, Lost, Measured, Started, State, TrialRecord, records

pytestmark = pytest.mark.workers

EVENTS = [
    Started(0, {"a": 1}, {"s": 2}),
    Started(1, {"a": 2}),
    Measured(1, 1, 0.5),
    Lost(1),
    Ended(0, State.COMPLETE, 0.9, {"accuracy": 0.9}, "", 3.5, {"rung": 1.0}),
]


def written(tmp_path):
    """A journal with the events above."""
    journal = Journal(Folder(f"file:{tmp_path}"))
    for event in EVENTS:
        journal.write(event)
    return journal


def test_events_come_back_as_they_were_written(tmp_path):
    """Types, floats and states survive the file."""
    assert written(tmp_path).read() == EVENTS


def test_a_line_that_a_crash_cut_short_never_happened(tmp_path):
    """The torn line is dropped and the next event starts a line of its own."""
    journal = written(tmp_path)
    with (tmp_path / TRIALS).open("ab") as file:
        file.write(b'{"event": "ended", "num')
    assert journal.read() == EVENTS
    journal.write(Lost(1))
    assert journal.read() == [*EVENTS, Lost(1)]


def test_a_journal_of_one_torn_line_is_empty(tmp_path):
    """A crash within the very first line leaves a search that has not begun."""
    (tmp_path / TRIALS).write_bytes(b'{"event": "sta')
    assert Journal(Folder(f"file:{tmp_path}")).read() == []


def test_events_add_up_to_trials():
    """Each trial has its values, measurements, losses and end; ended trials are in the order they ended."""
    trials, ended = records(EVENTS)
    assert trials[1] == TrialRecord(1, {"a": 2}, {}, values={1: 0.5}, losses=1)
    assert ended == [trials[0]]
    assert (trials[0].state, trials[0].value, trials[0].seconds, trials[0].chosen) == (
        State.COMPLETE,
        0.9,
        3.5,
        {"a": 1},
    )
