"""A client of a real broker: it reads from where it is told to, all that was committed, and knows where the ends are."""

import pyarrow as pa
import pytest
from confluent_kafka import Producer

from headrace.api.data_pipeline import Kafka, KafkaStart
from headrace_workers.data.stream.messages import Reading
from headrace_workers.data.stream.parts import Offsets, Request
from headrace_workers.data.stream.reader import Reader
from tests.workers.data.stream.broker import Broker, Topic

pytestmark = pytest.mark.kafka


def reader_of(topic: Topic) -> Reader:
    """A reader of the topic."""
    return Reader(Kafka.model_validate(topic.source["kafka"]))


def read(reader: Reader, offsets: Offsets, most: int = 20_000, wait: float = 2.0) -> Reading:
    """What it reads from there on."""
    return reader.read(Request(offsets, pa.schema([]), wait, 0.2, most))


def test_it_reads_from_where_it_is_told(broker: Broker) -> None:
    """In the order of each partition; going on, and going back."""
    topic = broker.topic(2)
    topic.say(range(5), 0)
    topic.say(range(10, 13), 1)
    reader, one, other = reader_of(topic), f"{topic.name}/0", f"{topic.name}/1"
    assert reader.partitions(were_there=False) == (one, other)
    assert reader.starts((one, other), KafkaStart.EARLIEST) == {one: 0, other: 0}
    assert reader.starts((one, other), KafkaStart.LATEST) == {one: 5, other: 3}
    first = read(reader, {one: 1, other: 0})
    assert {name: taken.values for name, taken in first.taken.items()} == {
        one: [b"1", b"2", b"3", b"4"],
        other: [b"10", b"11", b"12"],
    }
    assert (first.offsets, first.high) == ({one: 5, other: 3}, {one: 5, other: 3})
    topic.say([5], 0)
    assert read(reader, first.offsets).values == [b"5"]
    again = read(reader, {one: 3})
    assert (again.values, again.offsets) == ([b"3", b"4", b"5"], {one: 6})
    reader.close()


def test_it_takes_no_more_than_it_is_asked_for(broker: Broker) -> None:
    """The rest comes the next time."""
    topic = broker.topic()
    topic.say(range(25))
    reader, offsets, values = reader_of(topic), {f"{topic.name}/0": 0}, []
    for _ in range(3):
        reading = read(reader, offsets, most=10)
        values.extend(reading.values)
        offsets = dict(reading.offsets)
    assert values == [str(number).encode() for number in range(25)]
    reader.close()


def test_what_was_not_committed_is_not_read(broker: Broker) -> None:
    """Messages of a transaction that was given up are passed over, and the marks at the end leave no lag."""
    topic = broker.topic()
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": topic.name})
    producer.init_transactions(30)
    for value, commits in ((b"1", True), (b"2", False), (b"3", True), (b"4", False)):
        producer.begin_transaction()
        producer.produce(topic.name, value, partition=0)
        producer.flush(30)
        if commits:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    reader, name = reader_of(topic), f"{topic.name}/0"
    reading = read(reader, {name: 0})
    reading = Reading(reading.taken, read(reader, reading.offsets, wait=1.0).offsets, reading.high)
    assert reading.values == [b"1", b"3"]
    assert (reading.offsets, reading.high) == ({name: 8}, {name: 8})
    reader.close()


def test_a_broker_that_is_not_there_is_trouble(broker: Broker) -> None:
    """It is told, and nothing is raised: it may come back."""
    topic = broker.topic()
    kafka = Kafka.model_validate({"brokers": ["127.0.0.1:1"], "topics": [topic.name]})
    reader = Reader(kafka)
    reading = read(reader, {f"{topic.name}/0": 0}, wait=0.5)
    assert "127.0.0.1:1 cannot be read from" in reading.trouble
    assert (reading.values, reading.offsets) == ([], {f"{topic.name}/0": 0})
    reader.close()
