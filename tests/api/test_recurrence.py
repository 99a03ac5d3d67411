"""Schedules: which moments they name, and which are none."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from headrace.api.recurrence import next_time
from tests.gen import pipeline

NOON = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "moment"),
    [
        ("0 * * * *", datetime(2026, 2, 27, 13, 0, tzinfo=UTC)),
        ("*/15 9-17 * * MON-FRI", datetime(2026, 2, 27, 12, 15, tzinfo=UTC)),
        ("30 3 1 * *", datetime(2026, 3, 1, 3, 30, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_next_moment(cron: str, moment: datetime) -> None:
    """Strictly after the one given, in UTC."""
    assert next_time(cron, NOON) == moment


@pytest.mark.parametrize("cron", ["60 * * * *", "0 0 30 2 *", "* * * *", "0 0 * * MOON", ""])
def test_what_is_no_schedule(cron: str) -> None:
    """Is refused where the manifest is read, with what is wrong."""
    with pytest.raises(ValidationError) as caught:
        pipeline(schedule=cron)
    assert "schedule" in str(caught.value)
    with pytest.raises(ValueError, match=r"is no schedule|names no moment"):
        next_time(cron, NOON)
