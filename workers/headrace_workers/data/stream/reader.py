"""Reads messages of some partitions from where it is told to, and says where their ends are."""

import time
from collections import defaultdict

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.api.data_pipeline import Kafka, KafkaStart
from headrace_workers.data.stream.broker import (
    AT_THE_END,
    OUT_OF_RANGE,
    TELL_SECONDS,
    Troubles,
    Unreachable,
    consumer,
    partitions,
    told,
)
from headrace_workers.data.stream.messages import Reading, Taken
from headrace_workers.data.stream.parts import Request
from headrace_workers.faults import RunFault

AT_ONCE = 5_000
"""Messages that are taken from the client in one call."""
LOOK_SECONDS = 5.0
"""How often a reader without messages asks the broker for the ends of its partitions, and so whether it is there."""


class Reader:
    """A client of a Kafka cluster."""

    def __init__(self, kafka: Kafka) -> None:
        """RunFault if the settings are wrong; connects when it is asked something."""
        self._kafka = kafka
        self._troubles = Troubles()
        self._client: Consumer = consumer(kafka, self._troubles)
        self._offsets: dict[str, int] = {}
        self._stands_at: dict[str, int] | None = None
        self._high: dict[str, int] = {}
        self._looked = 0.0

    def partitions(self, *, were_there: bool) -> tuple[str, ...]:
        """All partitions of the topics; Unreachable, or RunFault for a topic that is not there, and never was."""
        return partitions(self._client, self._kafka, were_there=were_there)

    def starts(self, names: tuple[str, ...], start: KafkaStart) -> dict[str, int]:
        """Where reading begins in partitions that were not read from; Unreachable."""
        ends = {name: self._ends(name) for name in names}
        return {name: low if start is KafkaStart.EARLIEST else high for name, (low, high) in ends.items()}

    def read(self, request: Request) -> Reading:
        """What there is, in the order of each partition; trouble that may pass is told. RunFault if messages are lost."""
        if self._stands_at != request.offsets:
            self._client.assign([_place(name, offset) for name, offset in request.offsets.items()])
            self._offsets = dict(request.offsets)
            self._high = {name: self._high.get(name, 0) for name in request.offsets}
        # Where trouble comes up midway, the client may have given messages that were not looked at: it is sent back.
        self._stands_at = None
        taken: dict[tuple[str, int], Taken] = defaultdict(Taken)
        started, trouble = time.process_time(), ""
        try:
            self._take(request, taken)
            if not taken and time.monotonic() - self._looked > LOOK_SECONDS:
                self._look()
        except Unreachable as unreachable:
            trouble = str(unreachable)
        by_name = {f"{topic}/{number}": found for (topic, number), found in sorted(taken.items())}
        for name, found in by_name.items():
            self._offsets[name] = max(self._offsets[name], found.offsets[-1] + 1)
        if not trouble:
            self._stands_at = dict(self._offsets)
            self._high |= {name: self._end_told(name) for name in self._offsets}
        seconds = time.process_time() - started
        return Reading(by_name, dict(self._offsets), dict(self._high), trouble, seconds)

    def close(self) -> None:
        """Disconnects."""
        self._client.close()

    def _take(self, request: Request, taken: dict[tuple[str, int], Taken]) -> None:
        ends = time.monotonic() + request.wait_seconds
        count = size = 0
        while count < request.most_messages and size < request.most_bytes:
            left = ends - time.monotonic()
            if count and left <= 0:
                return
            messages = self._client.consume(
                min(AT_ONCE, request.most_messages - count), timeout=max(0.0, min(left, 0.05))
            )
            before = count
            for message in messages:
                error = message.error()
                if error is not None:
                    self._heed(message, error)
                    continue
                into = taken[message.topic(), message.partition()]
                value = message.value() or b""
                into.offsets.append(message.offset())
                into.times.append(message.timestamp()[1])
                into.values.append(value)
                size += len(value)
                count += 1
            if count > before:
                self._troubles.clear()
                if not before:
                    ends = min(ends, time.monotonic() + request.linger_seconds)
            elif left <= 0:
                if self._troubles.last is not None:
                    raise told(self._troubles.last, self._kafka, was_there=True)
                return

    def _heed(self, message: Message, error: KafkaError) -> None:
        name = f"{message.topic()}/{message.partition()}"
        if error.code() == AT_THE_END:
            # What lies between the last message and the end is the broker's own, as the marks of transactions are.
            self._offsets[name] = max(self._offsets[name], message.offset())
            self._troubles.clear()
        elif error.code() in OUT_OF_RANGE:
            raise self._lost(name)
        else:
            raise told(error, self._kafka, was_there=True)

    def _look(self) -> None:
        self._looked = time.monotonic()
        for name, offset in self._offsets.items():
            low, self._high[name] = self._ends(name)
            if low > offset or self._high[name] < offset:
                raise self._lost(name)
        self._troubles.clear()

    def _end_told(self, name: str) -> int:
        """The end of a partition as the broker told it with its messages."""
        topic, number = _parsed(name)
        told_of = self._client.get_watermark_offsets(TopicPartition(topic, number), cached=True)
        return max(self._high[name], self._offsets[name], told_of[1] if told_of else 0)

    def _ends(self, name: str) -> tuple[int, int]:
        topic, number = _parsed(name)
        try:
            low, high = self._client.get_watermark_offsets(TopicPartition(topic, number), TELL_SECONDS)
        except KafkaException as error:
            raise told(error.args[0], self._kafka, was_there=True) from None
        return low, high

    def _lost(self, name: str) -> RunFault:
        wanted = self._offsets[name]
        low, high = self._ends(name)
        if wanted < low:
            return RunFault(
                "MessagesLost",
                f"{low - wanted} messages of {name} were deleted before they were read (from {wanted} to {low - 1}): the topic keeps them for too short a time, or the stream stood still too long; "
                f"to go on without them, make a new pipeline, which begins at what is there; and have the topic keep more (retention.ms)",
            )
        return RunFault(
            "MessagesLost",
            f"{name} ends at {high}, before {wanted}, up to which it was read: the topic was made anew, or the broker lost messages; to read what is there now, make a new pipeline",
        )


def _parsed(name: str) -> tuple[str, int]:
    topic, _, number = name.rpartition("/")
    return topic, int(number)


def _place(name: str, offset: int) -> TopicPartition:
    topic, number = _parsed(name)
    return TopicPartition(topic, number, offset)
