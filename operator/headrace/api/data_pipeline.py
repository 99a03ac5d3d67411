"""DataPipeline: where data comes from, the steps it passes, the lake it lands in."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from headrace.api.base import Edit, Model, OneOf, Rule, Uri, setting
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.job import RunPolicy
from headrace.api.keys import Key
from headrace.api.pods import SecretKey, Workers
from headrace.api.steps import Fraction, Step


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


class Files(Model):
    """Files of one format."""

    uri: Annotated[Uri, Field(description="A file, a folder, or a pattern with *.")]
    format: Annotated[FileFormat, Field(description="How the files are written.")]
    rules = (NO_CREDENTIALS,)


class Sample(StrEnum):
    """Real data that ships inside packages."""

    DIGITS = "Digits"
    WINE = "Wine"
    BREAST_CANCER = "BreastCancer"
    PYTHON_SOURCE = "PythonSource"


class SampleSource(Model):
    """Real data that ships inside a package: no network, no files."""

    name: Annotated[Sample, Field(description="Which data.")]


class Kafka(Model):
    """Topics of a Kafka cluster."""

    brokers: Annotated[tuple[str, ...], Field(min_length=1, max_length=64, description="host:port of the brokers.")]
    topics: Annotated[tuple[str, ...], Field(min_length=1, max_length=64, description="The topics read.")]
    settings: Annotated[
        dict[str, str], Field(max_length=64, description="Further settings of the consumer; never a secret.")
    ] = {}
    password: Annotated[SecretKey | None, Field(description="The SASL password.")] = None


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


class Quarantine(Model):
    """What happens to bad records."""

    max_fraction: Annotated[Fraction, Field(description="The share of bad records from which on the run fails.")] = 0.05


def _no_fitting(spec: Any) -> bool:
    fitted = ("embed", "scale", "tokenize")
    return spec.mode != Mode.STREAM or not any(step.chosen in fitted for step in spec.steps)


class DataPipelineSpec(RunPolicy):
    """What a DataPipeline does."""

    mode: Mode = setting("Batch ends, Stream does not.", edit=Edit.IMMUTABLE, default=Mode.BATCH)
    source: Source = setting("Where the data comes from.", edit=Edit.NEW_RUN)
    steps: tuple[Step, ...] = setting(
        "What is done to each record, in order.", edit=Edit.NEW_RUN, default=(), max_length=64
    )
    sink: Sink = setting("Where the data lands.", edit=Edit.IMMUTABLE)
    workers: Workers = setting("How many workers run the steps.", edit=Edit.IN_PLACE, default=Workers())
    quarantine: Quarantine = setting("What happens to bad records.", edit=Edit.NEW_RUN, default=Quarantine())
    schedule: str | None = setting(
        "When the pipeline runs again, in cron's five fields and UTC.",
        edit=Edit.IN_PLACE, default=None, max_length=128, pattern=r"^([A-Za-z0-9*/,-]+ ){4}[A-Za-z0-9*/,-]+$",
    )  # fmt: skip
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
            "self.steps.filter(s, has(s.split)).size() <= 1",
            "steps may hold at most one split",
            lambda s: sum(step.split is not None for step in s.steps) <= 1,
        ),
    )

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys that its steps use."""
        return tuple(step.value.key for step in self.steps if step.hash or step.encrypt)
