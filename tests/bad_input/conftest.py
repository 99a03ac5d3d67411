"""A folder in which `headrace run` is given bad input, and in which nothing runs on afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_input.command import stop


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; what was started in it is stopped."""
    yield tmp_path
    stop(tmp_path)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As `folder`, for one command that all tests of a module look at."""
    made = tmp_path_factory.mktemp("run")
    yield made
    stop(made)
