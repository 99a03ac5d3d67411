"""Kafka: how its client is set up, and which of its troubles pass by themselves.

Offsets are the head's business: no group is joined, nothing is committed to the broker.
"""

import os
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from headrace.api import environment
from headrace.api.data_pipeline import Kafka
from headrace_workers.faults import RunFault

QUEUED_KILOBYTES = 32 << 10
TELL_SECONDS = 5.0
"""How long a broker may take to say something of its topics."""

# Codes of the client itself are spelled with an underscore.
REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._SSL,  # noqa: SLF001
    }
)
UNKNOWN = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
AT_THE_END = KafkaError._PARTITION_EOF  # noqa: SLF001
OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001


class Unreachable(Exception):
    """The broker does not answer; it may again."""


class Troubles:
    """What librdkafka says from its own thread: the last trouble since it was cleared."""

    def __init__(self) -> None:
        """None so far."""
        self._last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Keeps an error."""
        self._last = error

    def clear(self) -> None:
        """The broker has answered."""
        self._last = None

    @property
    def last(self) -> KafkaError | None:
        """The last trouble."""
        return self._last


def consumer(kafka: Kafka, troubles: Troubles, environ: Mapping[str, str] = os.environ) -> Consumer:
    """A client that reads what it is told to read; RunFault WrongSettings if it does not take the settings."""
    settings: dict[str, Any] = {
        "reconnect.backoff.max.ms": 5000,
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 10,
        **kafka.settings,
        "bootstrap.servers": ",".join(kafka.brokers),
        "group.id": "headrace",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": QUEUED_KILOBYTES,
        "topic.metadata.refresh.interval.ms": 30_000,
        "error_cb": troubles,
        "log_level": 2,
    }
    if kafka.password:
        if environment.KAFKA_PASSWORD not in environ:
            raise RunFault(
                "PasswordMissing",
                f"source.kafka.password: the Secret {kafka.password.name} has no key {kafka.password.key}, or there is no such Secret; "
                f"put the password there (in local mode, into the variable {environment.KAFKA_PASSWORD} of the shell)",
            )
        settings["sasl.password"] = environ[environment.KAFKA_PASSWORD]
    try:
        return Consumer(settings)
    except KafkaException as error:
        raise RunFault(
            "WrongSettings", f"source.kafka.settings are not taken by the Kafka client: {error.args[0].str()}"
        ) from None
    except (TypeError, ValueError) as error:
        raise RunFault("WrongSettings", f"source.kafka.settings are not taken by the Kafka client: {error}") from None


def told(error: KafkaError, kafka: Kafka, *, was_there: bool = False) -> Exception:
    """What to raise of an error: a RunFault, or Unreachable for what may pass.

    A topic that `was_there` may be unknown to a broker that has just started, and is waited for.
    """
    if error.code() in REFUSED:
        return RunFault(
            "BrokerRefused",
            f"the Kafka brokers {', '.join(kafka.brokers)} refuse this client: {error.str()}; check source.kafka.settings and password, and what the user may read",
        )
    if error.code() in UNKNOWN and not was_there:
        return RunFault(
            "SourceNotFound",
            f"source.kafka.topics: the brokers {', '.join(kafka.brokers)} have no such topic or partition ({error.str()}); make it, or correct the name",
        )
    return Unreachable(
        f"the Kafka brokers {', '.join(kafka.brokers)} cannot be read from: {error.str()}; see whether they run, and whether the run's NetworkPolicy lets them through (the operator's setting egress)"
    )


def partitions(client: Consumer, kafka: Kafka, *, were_there: bool) -> tuple[str, ...]:
    """All partitions of the topics, as topic/number, sorted; RunFault for a topic that is not there, and never was."""
    found: list[str] = []
    for topic in kafka.topics:
        try:
            listed = client.list_topics(topic, TELL_SECONDS).topics[topic]
        except KafkaException as error:
            raise told(error.args[0], kafka, was_there=were_there) from None
        if listed.error is not None:
            raise told(listed.error, kafka, was_there=were_there)
        found.extend(f"{topic}/{number}" for number in listed.partitions)
    return tuple(sorted(found))
