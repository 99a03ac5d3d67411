"""Writes messages at a steady rate, their event time being now. Arguments: broker, topic, rate, seconds.

Tells how many it sent, and for each second when both partitions had a message that was at least so new: by then the broker
had taken it.
"""

import json
import sys
import time

from bench_stream import PARTITIONS, message
from confluent_kafka import Producer

TICK_SECONDS = 0.02


def main() -> None:
    address, topic, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    producer = Producer({"bootstrap.servers": address, "linger.ms": 5})
    newest = [0.0] * PARTITIONS
    passed: dict[int, float] = {}

    def taken(error: object, _: object, partition: int, at: float) -> None:
        if error is not None:
            raise SystemExit(f"a message was not taken: {error}")
        newest[partition] = max(newest[partition], at)
        second = int(min(newest))
        if second not in passed and second:
            passed[second] = time.time()

    began, sent = time.time(), 2
    while (now := time.time()) < began + seconds:
        due = 2 + int((now - began + TICK_SECONDS) * rate)
        last_ones = max(sent, due - PARTITIONS)
        for number in range(sent, due):
            at, part = round(now, 3), number % PARTITIONS
            heard = (
                (lambda error, said, part=part, at=at: taken(error, said, part, at)) if number >= last_ones else None
            )
            producer.produce(topic, message(number, at, 20 + number % 7), partition=part, on_delivery=heard)
        sent = due
        producer.poll(max(0.0, now + TICK_SECONDS - time.time()))
    producer.flush(30)
    print(json.dumps({"sent": sent, "seconds": time.time() - began, "passed": passed}))


if __name__ == "__main__":
    main()
