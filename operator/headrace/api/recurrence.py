"""What makes a finished run happen again by itself: the clock, or new data."""

from datetime import datetime
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from headrace.api.base import Model, OneOf
from headrace.api.meta import Time

CRON_PATTERN = r"^([A-Za-z0-9*/,-]+ ){4}[A-Za-z0-9*/,-]+$"


def next_time(cron: str, after: datetime) -> datetime:
    """The first moment after another that a schedule names; ValueError for a schedule that names none."""
    try:
        return next(CronSim(cron, after))
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no schedule: {error}") from error
    except StopIteration:
        raise ValueError(f"{cron!r} names no moment in the next 50 years") from None


def _known(cron: str) -> str:
    try:
        next_time(cron, datetime(2026, 1, 1))
    except ValueError as error:
        raise PydanticCustomError("schedule", "{message}", {"message": str(error)}) from None
    return cron


Cron = Annotated[str, Field(max_length=128, pattern=CRON_PATTERN), AfterValidator(_known)]
"""Five fields: minute, hour, day of the month, month, day of the week. The API server checks their characters alone."""


class NewVersion(Model):
    """Another run when the pipeline has a newer version than the last run learnt from."""

    pause_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=31_536_000,
            description="The least time from the end of a run to the next: a Stream has new versions all the time.",
        ),
    ] = 600


class Trigger(OneOf):
    """What makes a job run again: exactly one of these."""

    new_version: Annotated[NewVersion | None, Field(description="New data.")] = None


class ScheduleStatus(Model):
    """Where a schedule is."""

    cron: Annotated[str, Field(description="The schedule that this is about.")]
    next: Annotated[Time, Field(description="When the next run starts, if the one before has finished.")]
    missed: Annotated[
        int,
        Field(ge=0, description="Runs that did not start, as another was under way or nobody was there to start them."),
    ] = 0
