#!/usr/bin/env python3
"""Kills every process of a pipeline at seeded moments, 25 times from files to Delta and 25 times from Kafka to Delta.

Prints what was lost, doubled or done again, and exits with 1 if anything was.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.workers.data import soak
from tests.workers.data.stream.broker import Broker, missing


def main() -> int:
    """Runs both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25, help="kills of each pipeline")
    parser.add_argument("--seed", type=int, default=0, help="where the moments come from")
    options = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outcomes.append(soak.batch(folder / "batch", options.seed, options.kills))
        if reason := missing():
            sys.exit(f"{reason}; Kafka → Delta was not tried")
        broker = Broker(folder / "kafka")
        try:
            broker.up()
            (folder / "stream").mkdir()
            outcomes.append(soak.stream(broker, folder / "stream", options.seed, options.kills))
        finally:
            broker.down()
    print("\n".join((soak.HEADER, *map(soak.told, outcomes))))
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
