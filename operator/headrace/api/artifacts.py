"""What runs leave behind and others refer to: dataset versions and model versions."""

from typing import Annotated

from pydantic import Field

from headrace.api.base import Model
from headrace.api.meta import Kind, Time


class DatasetVersion(Model):
    """One version of a table, visible whole or not at all."""

    uri: Annotated[str, Field(description="The table's folder.")]
    version: Annotated[int, Field(ge=0, description="The table's version.")]
    format: Annotated[str, Field(description="delta, parquet or iceberg.")] = "delta"
    digest: Annotated[str, Field(description="Digest of the recipe, the code and the inputs.")]
    records: Annotated[int, Field(ge=0, description="Records in it.")] = 0
    splits: Annotated[dict[str, int], Field(description="Records by split.")] = {}
    artifacts: Annotated[
        str, Field(description="The folder of what the pipeline fitted, preprocessing.json first.")
    ] = ""


class JobReference(Model):
    """The run that made something."""

    kind: Annotated[Kind, Field(description="The job's kind.")]
    name: Annotated[str, Field(description="The job's name.")]
    uid: Annotated[str, Field(description="The job's UID.")]
    run: Annotated[int, Field(ge=1, description="Which of its runs.")]


class StartingWeights(Model):
    """What a run started with: a model version, or safetensors of another origin."""

    name: Annotated[str, Field(description="The model version; empty if it is none.")] = ""
    uri: Annotated[str, Field(description="The folder, or the file.")]
    digest: Annotated[str, Field(description="Digest over the files; empty until they were read.")] = ""


class ModelVersion(Model):
    """An immutable folder with weights, preprocessing, schemas, metrics and lineage."""

    name: Annotated[str, Field(description="The version's name, unique in its namespace.")]
    uri: Annotated[str, Field(description="The folder.")]
    digest: Annotated[str, Field(description="Digest over its files.")]
    metrics: Annotated[dict[str, float], Field(description="Metrics on the named split of the dataset.")] = {}
    split: Annotated[str, Field(description="The split that the metrics were measured on.")] = "validation"
    dataset: Annotated[DatasetVersion, Field(description="What it learnt from.")]
    job: Annotated[JobReference, Field(description="Which run made it.")]
    trial: Annotated[int | None, Field(ge=0, description="The chosen trial of a TuneJob.")] = None
    started_from: Annotated[StartingWeights | None, Field(description="The weights that it was trained on from.")] = (
        None
    )
    code_digest: Annotated[str, Field(description="Digest of the code that trained it.")] = ""
    created_at: Annotated[Time, Field(description="When it was finished.")]
