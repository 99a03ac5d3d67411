"""The peer of bench_stream.py: a windowed mean by Quix Streams. Arguments: broker, topic, messages, folder for its state."""

import json
import sys
import time
from datetime import timedelta

from quixstreams import Application


def main() -> None:
    address, name, count, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    application = Application(
        broker_address=address, consumer_group="bench", auto_offset_reset="earliest", state_dir=folder,
        commit_interval=1.0, loglevel="WARNING",
    )  # fmt: skip
    topic = application.topic(
        name, value_deserializer="json", timestamp_extractor=lambda value, *_: int(value["at"] * 1000)
    )
    seen, moments = 0, []

    def note(value: object) -> None:
        nonlocal seen
        seen += 1
        if seen % 1000 == 0:
            moments.append((time.perf_counter(), seen))

    rows = application.dataframe(topic).update(note)
    rows = rows.apply(lambda value: value["value"])
    rows.tumbling_window(duration_ms=timedelta(seconds=1), grace_ms=timedelta(seconds=1)).mean().final()
    application.run(count=count, timeout=60.0)
    first = next(each for each in moments if each[1] >= 0.05 * count)
    last = moments[-1]
    print(json.dumps({"rate": (last[1] - first[1]) / (last[0] - first[0]), "seen": seen}))


if __name__ == "__main__":
    main()
