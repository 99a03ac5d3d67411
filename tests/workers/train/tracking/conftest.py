"""Servers of MLflow: a fake one, and a real one where there is one."""

import os
from collections.abc import Iterator

import pytest

from tests.workers.train.tracking.fake_mlflow import FakeMlflow

REAL = "HEADRACE_TEST_MLFLOW"


@pytest.fixture
def fake() -> Iterator[FakeMlflow]:
    server = FakeMlflow()
    yield server
    server.close()


@pytest.fixture(params=["fake", "real"])
def uri(request: pytest.FixtureRequest) -> str:
    """The address of a server that answers."""
    if request.param == "fake":
        return str(request.getfixturevalue("fake").uri)
    if not os.environ.get(REAL):
        pytest.skip(f"{REAL} names no server of MLflow, such as http://127.0.0.1:5000")
    return os.environ[REAL].rstrip("/")
