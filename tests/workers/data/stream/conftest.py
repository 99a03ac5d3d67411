"""What tests of streams may ask for."""

from collections.abc import Iterator

import pytest

from tests.workers.data.stream import broker as kafka


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    """A real broker, one for all tests of a process."""
    if reason := kafka.missing():
        pytest.skip(reason)
    made = kafka.Broker(tmp_path_factory.mktemp("kafka"))
    try:
        made.up()
        yield made
    finally:
        made.down()
