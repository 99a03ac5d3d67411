"""States: which one is gone on from, and which files are valid."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace_workers.data.stream.plan import planned
from headrace_workers.data.stream.state import State, States, Writer, named, text_of
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder
from tests.workers.data.stream.streams import spec_of


def test_the_state_that_a_commit_names_or_the_newest_after_it(tmp_path: Path) -> None:
    """States of epochs without rows follow the last commit; what nobody committed counts for nothing."""
    states = States(Folder(f"file:{tmp_path}"))
    committed, begun = State(epoch=3, writer="a"), State(epoch=4, writer="b")
    for state in (committed, begun):
        states.write(state, {})
    assert states.latest(committed.name) == committed
    without_rows = [State(epoch=epoch, writer="c", follows=committed.name) for epoch in (4, 5)]
    for state in without_rows:
        states.write(state, {})
    assert states.latest(committed.name) == without_rows[1]
    assert states.latest("") is None
    first = State(epoch=0, writer="a", follows="")
    states.write(first, {})
    assert states.latest("") == first


def test_files_that_a_newer_state_needs_stay(tmp_path: Path) -> None:
    """The others of the older one go; and at a start all that the chosen one does not name."""
    states = States(Folder(f"file:{tmp_path}"))
    old = State(epoch=1, writer="a", seen=("seen-1", "seen-2"))
    new = State(epoch=2, writer="a", seen=("seen-2", "seen-3"))
    states.write(old, {"seen-1": b"", "seen-2": b""})
    states.write(new, {"seen-3": b"", "stray": b""})
    states.forget(old, new)
    assert {path.name for path in (tmp_path / "stream").iterdir()} == {new.name, "seen-2", "seen-3", "stray"}
    states.forget_others(new)
    assert {path.name for path in (tmp_path / "stream").iterdir()} == new.files


def test_a_file_is_valid_by_its_epoch_and_its_writer() -> None:
    """A head that was overtaken may have written for an epoch that another committed."""
    state = State(epoch=9, writer="b", writers=(Writer(name="a", begins=0), Writer(name="b", begins=5)))
    valid = [
        (epoch, writer)
        for epoch in (4, 5, 9, 10)
        for writer in ("a", "b", "c")
        if state.is_valid(named("bad", epoch, writer, "jsonl"))
    ]
    assert valid == [(4, "a"), (5, "b"), (9, "b")]


def test_columns_travel_with_the_state() -> None:
    """At the beginning only the id is known, which is text."""
    schema = pa.schema([("id", pa.string()), ("values", pa.list_(pa.float64()))])
    assert State(epoch=1, writer="a", columns=text_of(schema)).known == schema
    assert State(epoch=1, writer="a").known == pa.schema([("id", pa.string())])


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """With what to do."""
    states = States(Folder(f"file:{tmp_path}"))
    plan = planned(spec_of({"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}, {"deduplicate": {"exact": {}}}))
    with pytest.raises(RunFault, match="lacks seen-1, of what the stream remembers") as fault:
        states.memory(State(epoch=1, writer="a", seen=("seen-1",)), plan)
    assert fault.value.reason == "StateLost"
