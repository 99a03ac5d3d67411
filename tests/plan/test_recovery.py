"""What the end of a pod means."""

import pytest

from headrace.api.job import Recovery
from headrace.plan.recovery import backoff_seconds


@pytest.mark.parametrize(("restarts", "seconds"), [(1, 5), (2, 10), (3, 20), (8, 600), (1000, 600)])
def test_backoff_doubles_up_to_a_bound(restarts: int, seconds: float) -> None:
    """The pause doubles with each restart and never exceeds ten minutes."""
    assert backoff_seconds(Recovery(), restarts) == seconds
