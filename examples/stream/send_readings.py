#!/usr/bin/env python3
"""Sends readings of ten machines to the pipeline beside this file, 500 a second; machine 7 overheats after 45 seconds.

One in two hundred is broken, one in fifty is sent twice, and some come up to a second late. Ends after the seconds given
(90); makes the topic if it is not there.
"""

import json
import random
import sys
import time

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

BROKER = {"bootstrap.servers": "127.0.0.1:9092"}
TOPIC, MACHINES, RATE = "machines", 10, 500
OVERHEATED, FROM_SECOND, DEGREES = 7, 45, 25


def make_topic() -> None:
    """Two partitions, unless the topic is there."""
    admin = AdminClient(BROKER)
    for made in admin.create_topics([NewTopic(TOPIC, 2)]).values():
        try:
            made.result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def reading(number: int, seconds: float, chance: random.Random) -> bytes:
    """One message."""
    machine = number % MACHINES
    hot = DEGREES if machine == OVERHEATED and FROM_SECOND <= seconds < FROM_SECOND + 10 else 0
    value = {
        "at": time.time() - chance.random(),
        "machine": f"m{machine}",
        "reading": number,
        "temperature": round(chance.gauss(60 + machine + hot, 1.5), 2),
        "note": f"checked by crew{machine}@example.com",
    }
    if number % 200 == 3:
        value["temperature"] = "warm"
    return json.dumps(value).encode()


def main() -> None:
    """Sends, and says how many."""
    lasts = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    make_topic()
    producer, chance, began, sent = Producer(BROKER), random.Random(7), time.monotonic(), 0
    while (seconds := time.monotonic() - began) < lasts:
        while sent < seconds * RATE:
            for _ in range(2 if sent % 50 == 11 else 1):
                producer.produce(TOPIC, reading(sent, seconds, chance), partition=sent % 2)
            sent += 1
        producer.poll(0.05)
    producer.flush(30)
    print(f"sent {sent} readings, {sent // 50} of them twice")


if __name__ == "__main__":
    main()
