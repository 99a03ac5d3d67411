"""Credentials in a URI are refused before anybody reads them in a status, an event or a log."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.api.base import Model
from headrace.api.credentials import NO_CREDENTIALS, shows_credentials
from headrace.api.data_pipeline import Files, Table
from headrace.api.job import Checkpoints
from headrace.api.train_job import DatasetTable

SHOWN = "s3://AKIAEXAMPLE:wJalrEXAMPLE@lake/reviews"


@pytest.mark.parametrize(
    "uri",
    [
        SHOWN,
        "hdfs://user:pass@namenode:8020/lake",
        "abfs://data@account.dfs.core.windows.net/lake?sv=2024&sig=abc%3D",
        "s3://lake/reviews?X-Amz-Signature=abc",
        "gs://lake/reviews?access_token=abc",
        "s3://lake/reviews?region=x&secret_key=abc",
    ],
)
def test_passwords_and_signatures_are_found(uri: str) -> None:
    """A password before the host and a parameter that is called like a credential."""
    assert shows_credentials(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///var/lib/headrace",
        "s3://lake/reviews/2026-11-01T10:00@noon.jsonl",
        "s3://lake/reviews/part-?.jsonl",
        "s3://lake/part-?/key=1/*.parquet",
        "s3://lake/reviews?region=eu-central-1",
        "abfs://data@account.dfs.core.windows.net/lake",
        "hdfs://user@namenode:8020/lake",
    ],
)
def test_what_is_no_credential_passes(uri: str) -> None:
    """Ports, users, containers, times, patterns and partitions."""
    assert not shows_credentials(uri)


@pytest.mark.parametrize("model", [Files, Table, DatasetTable, Checkpoints])
def test_every_uri_of_a_manifest_is_looked_at(model: type[Model]) -> None:
    """The refusal says what to write instead, and does not repeat what it refuses."""
    fields: dict[str, Any] = {"uri": SHOWN, **({"format": "Text"} if model is Files else {})}
    with pytest.raises(ValidationError, match="uri must hold no credentials; read them from a Secret") as refused:
        model.model_validate(fields)
    assert "wJalrEXAMPLE" not in str(refused.value)
    assert NO_CREDENTIALS in model.rules


def test_no_refusal_repeats_a_value() -> None:
    """Whatever is wrong with an object, the operator's log does not quote it."""
    with pytest.raises(ValidationError) as refused:
        Checkpoints.model_validate({"uri": "s3://lake", "keep": "marker"})
    assert "marker" not in str(refused.value)
