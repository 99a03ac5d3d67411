"""A real Kafka broker for tests, and topics that are made, filled and read back."""

import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

HACK = Path(__file__).parents[4] / "hack" / "kafka"
TOPIC_SECONDS = 30


def missing() -> str:
    """What keeps a broker from being started here, in a sentence; empty if nothing does."""
    lacking = [name for name in ("java", "mvn") if shutil.which(name) is None]
    can_install = shutil.which("apt-get") is not None and os.geteuid() == 0
    if lacking and not can_install:
        return f"a Kafka broker needs {' and '.join(lacking)} (Debian: default-jre-headless, maven)"
    return ""


def two_free_ports() -> int:
    """A port that nothing listens on, nor on the next one."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 1))
                return port


class Broker:
    """One broker, started by hack/kafka/up."""

    def __init__(self, folder: Path) -> None:
        """Chooses its port and its folder."""
        self.port = two_free_ports()
        self.address = f"127.0.0.1:{self.port}"
        self._environment = os.environ | {
            "HEADRACE_KAFKA_STATE": str(folder),
            "HEADRACE_KAFKA_PORT": str(self.port),
            "HEADRACE_KAFKA_HEAP_MEGABYTES": "384",
        }

    def up(self) -> None:
        """Starts it; it goes on with the messages that it has."""
        subprocess.run([HACK / "up"], env=self._environment, check=True)

    def down(self, *, keep: bool = False) -> None:
        """Ends it, and deletes its messages unless they are kept."""
        subprocess.run([HACK / "down", *(["--keep"] if keep else [])], env=self._environment, check=True)

    def topic(self, partitions: int = 1, **settings: str) -> "Topic":
        """A new topic."""
        name = f"t{uuid.uuid4().hex[:8]}"
        made = self.admin.create_topics([NewTopic(name, partitions, config=settings)])
        made[name].result(TOPIC_SECONDS)
        return Topic(self, name)

    @cached_property
    def admin(self) -> AdminClient:
        """A client that changes topics."""
        return AdminClient({"bootstrap.servers": self.address})


class Topic:
    """One topic of a broker."""

    def __init__(self, broker: Broker, name: str) -> None:
        """Connects when something is said."""
        self.broker, self.name = broker, name
        self._producer = self._connected()

    def _connected(self) -> Producer:
        return Producer({"bootstrap.servers": self.broker.address, "linger.ms": 5, "acks": "all"})

    @property
    def source(self) -> dict[str, Any]:
        """A pipeline's source that reads it."""
        return {"kafka": {"brokers": [self.broker.address], "topics": [self.name]}}

    def say(self, messages: Iterable[Any], partition: int = 0, at: int | None = None) -> None:
        """Writes messages, and waits until the broker has them; what is not bytes is written as JSON.

        `at` is their time, in milliseconds since 1970.
        """
        for message in messages:
            value = message if isinstance(message, bytes) else json.dumps(message).encode()
            while True:
                try:
                    self._producer.produce(self.name, value, partition=partition, timestamp=at or 0)
                except BufferError:
                    self._producer.poll(0.1)
                else:
                    break
        left = self._producer.flush(TOPIC_SECONDS)
        if left:
            raise KafkaException(f"{left} messages were not taken within {TOPIC_SECONDS} s")

    def grow(self, partitions: int) -> None:
        """Gives it more partitions."""
        made = self.broker.admin.create_partitions([NewPartitions(self.name, partitions)])
        made[self.name].result(TOPIC_SECONDS)
        # One that has asked the broker before would not know of them for a while.
        self._producer = self._connected()
