"""What a reader makes of messages."""

import json
from typing import Any

import pyarrow as pa

from headrace.api.run_report import Records
from headrace_workers.data.stream.messages import Reading, Taken
from headrace_workers.data.stream.parts import HIDDEN, POSITION, SIGNATURE, TIME, Part
from headrace_workers.data.stream.plan import AFTER_EQUAL, AFTER_WINDOW, planned
from headrace_workers.data.stream.work import Worker
from tests.workers.data.stream.streams import spec_of

SOURCE = {"kafka": {"brokers": ["none:9092"], "topics": ["t"]}}
KNOWN = pa.schema([("id", pa.string())])
HIDE = {"redact": {"column": "text", "entities": ["Email"]}}


def part(records: list[Any], *steps: dict[str, Any], known: pa.Schema = KNOWN, **more: Any) -> Part:
    """What a reader makes of them; each is a message of its own."""
    values = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    places = list(range(len(values)))
    reading = Reading({"t/0": Taken(places, [1000 * place for place in places], values)}, {"t/0": len(values)})
    return Worker(planned(spec_of(SOURCE, *steps, **more))).part({"t/0": 0}, reading, known)


def test_records_have_an_id_and_a_time() -> None:
    """Their own id if they bring one; the time of the message, if no column says it."""
    made = part([{"a": 1}, {"a": 2, "id": 7}, {"a": 3, "id": "x"}])
    assert made.table["id"].to_pylist() == ["t/0/0", "7", "x"]
    assert made.table[TIME].to_pylist() == [0, 1_000_000, 2_000_000]
    assert made.discovered == pa.schema([("a", pa.int64())])
    assert (made.newest, made.offsets) == ({"t/0": 2_000_000}, {"t/0": 3})


def test_a_column_says_when_a_record_happened() -> None:
    """A record that does not is bad, and so is one without the column."""
    made = part([{"at": 5}, {"at": "soon"}, {"a": 1}, {"at": 4.5}], eventTime={"column": "at"})
    assert made.table[TIME].to_pylist() == [5_000_000, 4_500_000]
    assert [bad.code for bad in made.bad] == ["WrongType", "BadTime"]
    assert made.newest == {"t/0": 5_000_000}


def test_steps_name_columns_that_no_record_has() -> None:
    """Their values are missing; the column does not get into the table by that."""
    rule = {"validate": {"columns": [{"name": "value", "min": 0, "required": False}]}}
    made = part([{"a": 1}], rule, HIDE)
    assert made.table.column_names == ["id", "a", POSITION, TIME]
    assert made.records == Records(read=1)


def test_a_step_may_give_a_column_its_first_values() -> None:
    """It is known from then on."""
    made = part([{"a": 1}], {"fillMissing": {"column": "b", "value": "none"}})
    assert made.table["b"].to_pylist() == ["none"]
    assert made.discovered == pa.schema([("a", pa.int64()), ("b", pa.string())])


def test_records_in_other_languages_are_dropped() -> None:
    """As in a Batch: one without a text, too."""
    texts = ["Die neue Brücke wurde gestern eröffnet", "The new bridge was opened yesterday", None]
    made = part([{"text": text} for text in texts], {"filter": {"languages": ["de"]}})
    assert made.table["text"].to_pylist() == texts[:1]
    assert made.records == Records(read=3, filtered=2)


def test_bad_records_show_neither_hidden_columns_nor_what_is_hidden() -> None:
    """What travels with a record for the head is not the user's; private values are hidden as in the table."""
    rule = {"validate": {"columns": [{"name": "value", "min": 0}]}}
    equal = {"deduplicate": {"exact": {"columns": ["text"]}}}
    records = [{"text": "from a@b.org", "value": -1}, b'{"text": "a@b.org"', {"text": "from a@b.org", "value": 1}]
    made = part(records, rule, equal, HIDE)
    assert (made.table["text"].to_pylist(), SIGNATURE in made.table.column_names) == (["from [Email]"], True)
    shown = [bad.record for bad in made.bad]
    assert shown[0] == "[withheld]"
    assert isinstance(shown[1], dict)
    assert shown[1]["text"] == "from [Email]"
    assert not set(HIDDEN) & set(shown[1])


def test_groups_of_steps_wait_for_the_head() -> None:
    """Each is done to a table; what no later group will see is hidden as they would."""
    rule = {"validate": {"columns": [{"name": "value", "min": 0}]}}
    equal = {"deduplicate": {"exact": {"columns": ["key"]}}}
    worker = Worker(planned(spec_of(SOURCE, equal, rule, HIDE)))
    table = pa.table({"id": ["1", "2"], "value": [1, -1], "text": ["a@b.org", "c@d.org"], TIME: [1, 2]})
    left, bad, account = worker.finish(table, AFTER_EQUAL)
    assert left["text"].to_pylist() == ["[Email]"]
    assert account == Records(quarantined=1)
    assert "@" not in str(bad[0].record)
    assert "@" not in str(worker.conceal(bad, AFTER_WINDOW)[0].record)
