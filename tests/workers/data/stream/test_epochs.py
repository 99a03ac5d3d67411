"""Streams on a real broker: every record once, wherever it goes."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.api.run_report import Records
from headrace_workers.faults import RunFault
from tests.workers.data.stream.broker import Broker
from tests.workers.data.stream.streams import Place, spec_of, until

pytestmark = pytest.mark.kafka

NUMBERS = {"validate": {"columns": [{"name": "value", "min": 0, "max": 100}]}}
EQUAL = {"deduplicate": {"exact": {"columns": ["key"]}}}
HIDDEN = {"redact": {"column": "text", "entities": ["Email"]}}


def record(key: int, **more: Any) -> dict[str, Any]:
    """A good record."""
    return {"key": key, "text": f"write to user{key}@example.com now", "value": key % 100 / 2, **more}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty storage."""
    return Place(tmp_path)


POISON: dict[str, Any] = {
    "BrokenJson": b'{"key": 1, "text"',
    "BadEncoding": b'{"key": "\xff\xfe"}',
    "NotAnObject": [1, 2, 3],
    "WrongType": record(10_001, value={"at": 1}),
    "OutOfRange": record(10_002, value=-5),
    "MissingValue": {"key": 10_003, "text": "none"},
}


def test_every_record_is_found_again(broker: Broker, place: Place) -> None:
    """Of two partitions with six kinds of poison and equal records, each is written, a duplicate, or in the quarantine; none twice."""
    topic = broker.topic(2)
    for partition in (0, 1):
        topic.say([record(key) for key in range(partition, 2000, 2)], partition)
        topic.say([*POISON.values(), b"", *(record(key) for key in range(300))], partition)
    stream = place.read(spec_of(topic.source, NUMBERS, EQUAL, HIDDEN), 2614)
    assert stream.state.records == Records(read=2614, written=2000, duplicates=600, quarantined=14)
    rows = place.rows
    assert sorted(rows["key"].to_pylist()) == list(range(2000))
    assert rows["text"].unique().to_pylist() == ["write to [Email] now"]
    assert set(rows["id"].to_pylist()) < {f"{topic.name}/{p}/{offset}" for p in (0, 1) for offset in range(1307)}
    codes = [bad["code"] for bad in place.bad()]
    assert sorted(codes) == sorted([*POISON, "BrokenJson"] * 2)
    assert not any("@example.com" in bad["record"] for bad in place.bad())


def test_a_stream_goes_on_where_it_stopped(broker: Broker, place: Place) -> None:
    """A second head reads what came since; what equals records of before is known still."""
    topic = broker.topic()
    spec = spec_of(topic.source, EQUAL)
    topic.say(record(key) for key in range(100))
    first = place.read(spec, 100)
    topic.say(record(key) for key in range(50, 150))
    second = place.read(spec, 200)
    assert second.state.records == Records(read=200, written=150, duplicates=50)
    assert sorted(place.rows["key"].to_pylist()) == list(range(150))
    assert second.state.commits == first.state.commits + 1


def test_steps_after_deduplicate_see_no_equal_records(broker: Broker, place: Place) -> None:
    """A bad record that equals an earlier one is a duplicate, and not bad twice."""
    topic = broker.topic()
    topic.say([record(1), record(2, value=-1), record(2, value=-1), record(3), record(3)])
    stream = place.read(spec_of(topic.source, EQUAL, NUMBERS, HIDDEN), 5)
    assert stream.state.records == Records(read=5, written=2, duplicates=2, quarantined=1)
    assert [bad["code"] for bad in place.bad()] == ["OutOfRange"]


def test_an_epoch_without_rows_is_kept_and_not_committed(broker: Broker, place: Place) -> None:
    """Bad records alone make no version of the table, and are not read again."""
    topic = broker.topic()
    spec = spec_of(topic.source, NUMBERS)
    topic.say([record(1)])
    place.read(spec, 1)
    topic.say([record(2, value=-1), b"{"])
    place.read(spec, 3)
    assert place.delta.version() == 0
    topic.say([record(3)])
    stream = place.read(spec, 4)
    assert stream.state.records == Records(read=4, written=2, quarantined=2)
    assert [bad["code"] for bad in place.bad()] == ["BrokenJson", "OutOfRange"]
    assert len(list((place.folder / "run-1" / "stream").iterdir())) == 1


def test_a_new_run_goes_on_from_the_table(broker: Broker, place: Place) -> None:
    """Edited steps start a run with a storage of its own: it reads what came since the last commit, into the same table."""
    topic = broker.topic(2)
    topic.say((record(key) for key in range(10)), 0)
    place.read(spec_of(topic.source), 10)
    topic.say((record(key) for key in range(10, 15)), 1)
    stream = place.read(spec_of(topic.source, HIDDEN), 5, run=2)
    assert stream.state.records == Records(read=5, written=5)
    assert stream.state.splits == {"train": 15}
    assert sorted(place.rows["key"].to_pylist()) == list(range(15))


def test_a_twin_does_not_get_through(broker: Broker, place: Place) -> None:
    """Of two heads of one run the table takes one; the other ends, and leaves no bad records behind."""
    topic = broker.topic()
    spec = spec_of(topic.source, NUMBERS)
    topic.say([record(1)])
    place.read(spec, 1)
    one, other = place.stream(spec), place.stream(spec)
    topic.say([record(2), record(3, value=-1)])
    until(one, lambda: one.state.records.read >= 3)
    with pytest.raises(RunFault, match="another head") as fault:
        until(other, lambda: other.state.records.read >= 3)
    assert fault.value.retryable
    topic.say([record(4)])
    stream = place.read(spec, 4)
    assert stream.state.records == Records(read=4, written=3, quarantined=1)
    assert sorted(place.rows["key"].to_pylist()) == [1, 2, 4]
    assert len(place.bad()) == 1


def test_new_partitions_are_found(broker: Broker, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only new messages were asked for, those of a partition that came later are read from its first."""
    monkeypatch.setattr("headrace_workers.data.stream.epochs.LIST_SECONDS", 0.5)
    topic = broker.topic()
    source = topic.source
    source["kafka"]["start"] = "Latest"
    topic.say([record(1)])
    stream = place.stream(spec_of(source))
    said = []

    def add_partition() -> bool:
        if stream.state.offsets and not said:
            topic.grow(2)
            topic.say([record(2)], 1)
            said.append(True)
        return stream.state.records.read >= 1

    until(stream, add_partition)
    assert place.rows["key"].to_pylist() == [2]


def test_a_topic_that_is_not_there_is_named(broker: Broker, place: Place) -> None:
    """The sentence says which."""
    source = {"kafka": {"brokers": [broker.address], "topics": ["nowhere"]}}
    with pytest.raises(RunFault, match=r"source\.kafka\.topics: .*have no such topic") as fault:
        place.read(spec_of(source), 1)
    assert (fault.value.reason, fault.value.retryable) == ("SourceNotFound", False)


def test_messages_that_were_deleted_unread_are_counted(broker: Broker, place: Place) -> None:
    """Retention that overtakes the stream is a fault, with how many messages it cost."""
    topic = broker.topic()
    spec = spec_of(topic.source)
    topic.say(record(key) for key in range(10))
    place.read(spec, 10)
    topic.say(record(key) for key in range(10, 30))
    for deleted in broker.admin.delete_records([TopicPartition(topic.name, 0, 25)]).values():
        deleted.result()
    with pytest.raises(RunFault, match=f"15 messages of {topic.name}/0 were deleted") as fault:
        place.read(spec, 30)
    assert (fault.value.reason, fault.value.retryable) == ("MessagesLost", False)


def test_too_many_bad_records_of_the_last_ones(broker: Broker, place: Place) -> None:
    """The share is judged over 10,000 records, so that the first bad one does not end a stream; what was good stays."""
    topic = broker.topic()
    spec = spec_of(topic.source, NUMBERS, quarantine={"maxFraction": 0.01})
    topic.say([record(key) for key in range(200)] + [b"{"] * 100)
    assert place.read(spec, 300).state.records.quarantined == 100
    topic.say([b"{"])
    with pytest.raises(RunFault, match="101 of 10000 records"):
        place.read(spec, 301)
    assert place.rows.num_rows == 200


def test_a_broker_that_is_gone_is_waited_for(tmp_path: Path, place: Place) -> None:
    """The report says what it waits for; when the broker is back, it goes on."""
    broker = Broker(tmp_path / "kafka")
    broker.up()
    try:
        topic = broker.topic()
        spec = spec_of(topic.source)
        topic.say([record(1)])
        stream = place.stream(spec)
        steps: list[str] = []

        def go() -> bool:
            if stream.state.records.read == 1 and not steps:
                broker.down(keep=True)
                steps.append("down")
            if "cannot be read from" in stream.trouble and steps == ["down"]:
                broker.up()
                topic.say([record(2)])
                steps.append("up")
            return stream.state.records.read >= 2

        until(stream, go)
        assert steps == ["down", "up"]
        assert (place.rows.num_rows, stream.trouble) == (2, "")
    finally:
        broker.down()
