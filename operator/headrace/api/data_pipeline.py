"""DataPipeline: where data comes from, the steps it passes, the lake it lands in."""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from headrace.api.base import Column, Edit, Model, Name, OneOf, Rule, Uri, setting
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.job import RunPolicy
from headrace.api.keys import Key
from headrace.api.pods import SecretKey, Workers
from headrace.api.recurrence import Cron
from headrace.api.steps import Fraction, Step
from headrace.api.tracking import PLAIN_ADDRESS, ServerAddress
from headrace.api.windows import EventTime


class Mode(StrEnum):
    """Whether a pipeline ends."""

    BATCH = "Batch"
    STREAM = "Stream"


class FileFormat(StrEnum):
    """How files are written."""

    JSON_LINES = "JsonLines"
    CSV = "Csv"
    PARQUET = "Parquet"
    TEXT = "Text"
    AUDIO = "Audio"
    IMAGE = "Image"


MEDIA = (FileFormat.AUDIO, FileFormat.IMAGE)
"""Formats of which a file is one record."""

NAMING = "[^{}]*[{][A-Za-z_][A-Za-z0-9_]*[}]([^{}]+[{][A-Za-z_][A-Za-z0-9_]*[}])*[^{}]*"
"""Names in braces, and something between each two: else nobody could tell where one ends."""

TAKEN = ("id", "file", "content")
"""Columns that no file's name may fill."""


class Files(Model):
    """Files of one format."""

    uri: Annotated[Uri, Field(description="A file, a folder, or a pattern with *.")]
    format: Annotated[
        FileFormat,
        Field(
            description="How the files are written. Of Audio (WAV, FLAC, OGG, MP3) and Image (PNG, JPEG) each file is a record: its name in file, its folder's name in label, its bytes in content."
        ),
    ]
    naming: Annotated[
        str | None,
        Field(
            min_length=3,
            max_length=256,
            description="How files of Audio or Image are named, as {label}/{voice}-{take}.wav: each name in braces is a column, of text without /, and takes the place of label; with {split}, such as train and validation, no step has to split. A file that is named otherwise is bad.",
        ),
    ] = None
    rules = (
        NO_CREDENTIALS,
        Rule(
            "!has(self.naming) || self.format == 'Audio' || self.format == 'Image'",
            "naming is for the formats Audio and Image, of which a file is one record",
            lambda f: f.naming is None or f.format in MEDIA,
        ),
        Rule(
            f"!has(self.naming) || self.naming.matches('^{NAMING}$')",
            "naming needs names of columns in braces, with something between each two, as {label}/{voice}-{take}.wav",
            lambda f: f.naming is None or re.fullmatch(NAMING, f.naming) is not None,
        ),
        Rule(
            "!has(self.naming) || !(self.naming.contains('{id}') || self.naming.contains('{file}') || self.naming.contains('{content}'))",
            "naming may not use {id}, {file} or {content}: these columns are there already",
            lambda f: f.naming is None or not any(f"{{{name}}}" in f.naming for name in TAKEN),
        ),
    )


class Sample(StrEnum):
    """Real data that ships inside packages."""

    DIGITS = "Digits"
    WINE = "Wine"
    BREAST_CANCER = "BreastCancer"
    PYTHON_SOURCE = "PythonSource"


class SampleSource(Model):
    """Real data that ships inside a package: no network, no files."""

    name: Annotated[Sample, Field(description="Which data.")]


class KafkaStart(StrEnum):
    """Where reading begins."""

    EARLIEST = "Earliest"
    LATEST = "Latest"


class Kafka(Model):
    """Topics of a Kafka cluster, each message one JSON object."""

    brokers: Annotated[tuple[str, ...], Field(min_length=1, max_length=64, description="host:port of the brokers.")]
    topics: Annotated[tuple[str, ...], Field(min_length=1, max_length=64, description="The topics read.")]
    settings: Annotated[
        dict[str, str], Field(max_length=64, description="Further settings of the consumer; never a secret.")
    ] = {}
    password: Annotated[SecretKey | None, Field(description="The SASL password.")] = None
    start: Annotated[
        KafkaStart, Field(description="Where a Stream begins in partitions that it has not read from.")
    ] = KafkaStart.EARLIEST


class Sql(Model):
    """A table or query of a database."""

    url: Annotated[SecretKey, Field(description="The Secret that holds the SQLAlchemy URL.")]
    query: Annotated[str, Field(min_length=1, max_length=65_536, description="What is read.")]
    key: Annotated[str, Field(min_length=1, max_length=128, description="The column by which it is read in chunks.")]


class Http(Model):
    """Events that are posted to the pipeline's own endpoint."""

    max_queue: Annotated[
        int, Field(ge=1, le=10_000_000, description="Events held before a post is answered with 429.")
    ] = 10_000


class Source(OneOf):
    """Where the data comes from: exactly one of these."""

    files: Annotated[Files | None, Field(description="Files.")] = None
    sample: Annotated[SampleSource | None, Field(description="Real data that ships inside a package.")] = None
    kafka: Annotated[Kafka | None, Field(description="Kafka topics.")] = None
    sql: Annotated[Sql | None, Field(description="A database.")] = None
    http: Annotated[Http | None, Field(description="Posted events.")] = None


class Table(Model):
    """A versioned table."""

    uri: Annotated[
        Uri | None, Field(description="The table's folder; absent, a folder of the operator's default storage.")
    ] = None
    rules = (NO_CREDENTIALS,)


class Sink(OneOf):
    """The lake: exactly one of these."""

    delta: Annotated[Table | None, Field(description="A Delta table.")] = None
    parquet: Annotated[Table | None, Field(description="A folder of Parquet files.")] = None
    iceberg: Annotated[Table | None, Field(description="An Iceberg table.")] = None


class Repaired(Model):
    """Records of the quarantine that somebody has repaired."""

    uri: Annotated[
        Uri,
        Field(
            description="A file, a folder, or a pattern with *, of JSON lines as the quarantine has them: source as it stands there, and the repaired record."
        ),
    ]
    rules = (NO_CREDENTIALS,)


class Quarantine(Model):
    """What happens to bad records."""

    max_fraction: Annotated[
        Fraction,
        Field(
            description="The share of bad records from which on the run fails; of a Stream, of the last 10,000 records."
        ),
    ] = 0.05
    repaired: Annotated[
        Repaired | None,
        Field(
            description="Repaired records, each of which takes the place of the bad one: of a Batch while it is read, of a Stream once they lie there. Absent, a Stream looks into the folder repaired of its run's storage."
        ),
    ] = None


class Webhook(Model):
    """Where alerts are posted, as JSON."""

    uri: Annotated[
        ServerAddress | None,
        Field(description="The address; one inside the cluster has to be allowed by the operator's setting egress."),
    ] = None
    secret: Annotated[SecretKey | None, Field(description="The key of a Secret that holds the address.")] = None
    rules = (
        PLAIN_ADDRESS,
        Rule(
            "has(self.uri) != has(self.secret)",
            "set exactly one of uri, secret",
            lambda w: (w.uri is None) != (w.secret is None),
        ),
    )


class Alert(Model):
    """Tells of each record whose value is beyond a bound: in .status, as an Event, to a webhook."""

    name: Annotated[Name, Field(description="The alert's name.")]
    column: Annotated[Column, Field(description="The column of numbers that is watched.")]
    above: Annotated[float | None, Field(description="A value above this one raises it.")] = None
    below: Annotated[float | None, Field(description="A value below this one raises it.")] = None
    webhook: Annotated[Webhook | None, Field(description="Where it is posted.")] = None
    rules = (
        Rule(
            "has(self.above) || has(self.below)",
            "set above, below or both: without a bound nothing is beyond it",
            lambda a: a.above is not None or a.below is not None,
        ),
    )


class Streaming(Model):
    """How a Stream writes."""

    commit_milliseconds: Annotated[
        int,
        Field(
            ge=100,
            le=600_000,
            description="The pause between two commits: what was read by then becomes visible at once, with where it was read up to.",
        ),
    ] = 500
    compact_files: Annotated[
        int, Field(ge=2, le=10_000, description="So many small files of the table are written as one.")
    ] = 16


FITTED = ("embed", "scale", "tokenize")
ONCE = ("split", "window", "detect")


def _no_fitting(spec: Any) -> bool:
    return spec.mode != Mode.STREAM or not any(step.chosen in FITTED for step in spec.steps)


def _at_most_one(spec: Any) -> bool:
    return all(sum(step.chosen == name for step in spec.steps) <= 1 for name in ONCE)


def _detect_follows(spec: Any) -> bool:
    chosen = [step.chosen for step in spec.steps]
    return "detect" not in chosen or "window" in chosen


def _features_follow(spec: Any) -> bool:
    chosen = [step.chosen for step in spec.steps]
    return "sound_features" not in chosen or "decode_sound" in chosen


class DataPipelineSpec(RunPolicy):
    """What a DataPipeline does."""

    mode: Mode = setting("Batch ends, Stream does not.", edit=Edit.IMMUTABLE, default=Mode.BATCH)
    source: Source = setting("Where the data comes from.", edit=Edit.NEW_RUN)
    steps: tuple[Step, ...] = setting(
        "What is done to each record, in order.", edit=Edit.NEW_RUN, default=(), max_length=64
    )
    sink: Sink = setting("Where the data lands.", edit=Edit.IMMUTABLE)
    workers: Workers = setting("How many workers run the steps.", edit=Edit.IN_PLACE, default=Workers())
    event_time: EventTime | None = setting("When a record happened.", edit=Edit.NEW_RUN, default=None)
    streaming: Streaming = setting("How a Stream writes.", edit=Edit.NEXT_ATTEMPT, default=Streaming())
    alerts: tuple[Alert, ...] = setting(
        "What of a Stream's result is told at once.", edit=Edit.NEXT_ATTEMPT, default=(), max_length=32
    )
    quarantine: Quarantine = setting("What happens to bad records.", edit=Edit.NEW_RUN, default=Quarantine())
    schedule: Cron | None = setting(
        "When the pipeline runs again, in cron's five fields and UTC. The first run is at once; a moment that comes while a run is under way is missed, and counted.",
        edit=Edit.IN_PLACE,
        default=None,
    )
    seed: int = setting("Where every random choice starts.", edit=Edit.NEW_RUN, default=0, ge=0, le=2**31 - 1)
    rules = (
        Rule(
            "self.mode != 'Stream' || !self.steps.exists(s, has(s.embed) || has(s.scale) || has(s.tokenize))",
            "a Stream cannot fit embed, scale or tokenize; fit them in a Batch pipeline",
            _no_fitting,
        ),
        Rule(
            "self.mode != 'Stream' || has(self.source.kafka) || has(self.source.http)",
            "a Stream needs source.kafka or source.http",
            lambda s: s.mode != Mode.STREAM or s.source.chosen in ("kafka", "http"),
        ),
        Rule(
            "self.steps.filter(s, has(s.split)).size() <= 1 && self.steps.filter(s, has(s.window)).size() <= 1 && self.steps.filter(s, has(s.detect)).size() <= 1",
            "steps may hold at most one split, one window and one detect",
            _at_most_one,
        ),
        Rule(
            "self.mode != 'Stream' || !has(self.schedule)",
            "a Stream never ends, and cannot run again; remove schedule",
            lambda s: s.mode != Mode.STREAM or s.schedule is None,
        ),
        Rule(
            "!self.steps.exists(s, has(s.window)) || has(self.eventTime)",
            "a window needs eventTime.column: when a record happened",
            lambda s: s.event_time is not None or all(step.window is None for step in s.steps),
        ),
        Rule(
            "!self.steps.exists(s, has(s.detect)) || self.steps.exists(s, has(s.window))",
            "a detect needs a window before it",
            _detect_follows,
        ),
        Rule(
            "!self.steps.exists(s, has(s.soundFeatures)) || self.steps.exists(s, has(s.decodeSound))",
            "soundFeatures needs a decodeSound: it hears nothing in encoded bytes",
            _features_follow,
        ),
        Rule(
            "self.mode == 'Stream' || (!has(self.alerts) || self.alerts.size() == 0)",
            "alerts are a Stream's; a Batch has its result in the table",
            lambda s: s.mode == Mode.STREAM or not s.alerts,
        ),
    )

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that its steps use."""
        return tuple(step.value.key for step in self.steps if step.hash or step.encrypt)
