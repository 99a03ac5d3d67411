"""Three kills of everything at seeded moments; `make soak-data` has fifty."""

from pathlib import Path

import pytest

from tests.workers.data import soak
from tests.workers.data.stream import broker as kafka

pytestmark = pytest.mark.ray


def test_files_to_delta(tmp_path: Path) -> None:
    """No record is lost or doubled, and no finished shard is made again."""
    outcome = soak.batch(tmp_path, seed=1, kills=3)
    print(f"{soak.HEADER}\n{soak.told(outcome)}")
    assert outcome.is_good, outcome


@pytest.mark.kafka
def test_kafka_to_delta(tmp_path: Path) -> None:
    """No message is lost or doubled, and each bad one that was repaired is in the table once."""
    if reason := kafka.missing():
        pytest.skip(reason)
    broker = kafka.Broker(tmp_path / "kafka")
    try:
        broker.up()
        (tmp_path / "stream").mkdir()
        outcome = soak.stream(broker, tmp_path / "stream", seed=1, kills=3)
    finally:
        broker.down()
    print(f"{soak.HEADER}\n{soak.told(outcome)}")
    assert outcome.is_good, outcome
