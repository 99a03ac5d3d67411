"""Records over time: when they happened, windows of them, and what is unusual about those."""

from typing import Annotated

from pydantic import Field

from headrace.api.base import Column, Model, OneOf, Rule

LONGEST_SECONDS = 2_592_000
"""Thirty days."""


class EventTime(Model):
    """When a record happened, as it says itself; and how far out of order records may come.

    The watermark of a Stream is the newest event time seen, less the allowed lateness, of the partition that is the
    farthest behind (Akidau et al., 2015): what is older than it has come.
    """

    column: Annotated[
        Column,
        Field(
            description="The column: text in ISO 8601, in UTC where it names no offset, or a number of seconds since 1970. A record without a readable one is bad."
        ),
    ]
    allowed_lateness_seconds: Annotated[
        int,
        Field(ge=0, le=LONGEST_SECONDS, description="How far a record may come after a newer one of its partition."),
    ] = 10
    idle_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="A Stream's partition without new records for so long does not hold the watermark back.",
        ),
    ] = 60


class OfColumn(Model):
    """A measure of one column."""

    column: Annotated[Column, Field(description="The column of numbers; missing ones are left out.")]


class Quantile(Model):
    """The value below which a share of the values lies, between two of them interpolated."""

    column: Annotated[Column, Field(description="The column of numbers; missing ones are left out.")]
    q: Annotated[float, Field(ge=0.0, le=1.0, description="The share: 0.5 is the median.")]


class Count(Model):
    """How many records there are."""


class Rate(Model):
    """How many records there are a second."""


class Measure(OneOf):
    """What is told of the records of a window: exactly one of these."""

    count: Annotated[Count | None, Field(description="How many records.")] = None
    rate: Annotated[Rate | None, Field(description="How many records a second.")] = None
    sum: Annotated[OfColumn | None, Field(description="The sum.")] = None
    mean: Annotated[OfColumn | None, Field(description="The mean.")] = None
    deviation: Annotated[OfColumn | None, Field(description="The standard deviation of these very records.")] = None
    min: Annotated[OfColumn | None, Field(description="The smallest value.")] = None
    max: Annotated[OfColumn | None, Field(description="The largest value.")] = None
    quantile: Annotated[Quantile | None, Field(description="A quantile.")] = None


class NamedMeasure(Model):
    """A measure and the column that it becomes."""

    into: Annotated[Column, Field(description="The column of the result.")]
    measure: Annotated[Measure, Field(description="What is told.")]


class Window(Model):
    """Makes one record of all that fall into a window of event time: its start, its end, the columns of `by`, the measures.

    Windows start at whole multiples of their distance since 1970. A Stream writes one once its watermark has passed the
    window's end; a record all of whose windows are written by then is late.
    """

    seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS, description="How long a window is.")]
    every_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=LONGEST_SECONDS,
            description="The distance of two windows' starts; absent, one begins where another ends, and a record is in one.",
        ),
    ] = None
    by: Annotated[
        tuple[Column, ...], Field(max_length=8, description="Columns whose values have windows of their own each.")
    ] = ()
    measures: Annotated[
        tuple[NamedMeasure, ...], Field(min_length=1, max_length=16, description="What is told of a window.")
    ]
    rules = (
        Rule(
            "!has(self.everySeconds) || self.everySeconds <= self.seconds",
            "everySeconds must be at most seconds: records between two windows would be in none",
            lambda w: w.every_seconds is None or w.every_seconds <= w.seconds,
        ),
        Rule(
            "self.measures.all(m, !(m.into in ['id', 'window_start', 'window_end'] || m.into in self.by)) && self.measures.all(m, self.measures.exists_one(n, n.into == m.into))",
            "measures need columns of their own: into may repeat neither another's, nor one of by, nor id, window_start, window_end",
            lambda w: (
                len({"id", "window_start", "window_end", *w.by, *(m.into for m in w.measures)})
                == 3 + len(w.by) + len(w.measures)
            ),
        ),
    )

    @property
    def distance(self) -> int:
        """Seconds from the start of one window to that of the next."""
        return self.every_seconds or self.seconds


class GaussianScore(Model):
    """How far from the mean of the last values a value is, as the share of a normal distribution that is nearer: 0 to 1."""

    last: Annotated[int, Field(ge=2, le=10_000, description="So many values are compared with.")] = 128
    at_least: Annotated[int, Field(ge=2, le=10_000, description="With fewer values seen, the score is 0.")] = 16
    rules = (Rule("self.atLeast <= self.last", "atLeast must be at most last", lambda g: g.at_least <= g.last),)


class Detect(Model):
    """Adds a score of how unusual a number is among those before it, from 0 to 1; it follows a window, in the order of the windows' ends."""

    column: Annotated[Column, Field(description="The column of numbers; a missing one has no score.")]
    by: Annotated[
        tuple[Column, ...], Field(max_length=8, description="Columns whose values are compared among themselves only.")
    ] = ()
    gaussian: Annotated[GaussianScore, Field(description="How the score is made.")] = GaussianScore()
    into: Annotated[Column, Field(description="The column that is added.")] = "anomaly"
