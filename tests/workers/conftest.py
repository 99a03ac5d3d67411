"""Everything below needs the workers' packages, and says so by one mark."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder; tests of other folders are collected in the same list."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.workers)
