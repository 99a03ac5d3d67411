"""The rules of a TrainJob's model that tell what goes together."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.api.edits import spec_digest
from headrace.api.train_job import ModelSource, StartingModel
from tests.gen import train_job

JOB = {"job": "base"}


@pytest.mark.parametrize(
    "model",
    [
        {"builtin": "Perceptron"},
        {"from": JOB},
        {"from": JOB, "parameters": {"dropout": 0.1}},
        {"from": {"uri": "s3://models/bert", "except": ["classifier", "encoder.layers.0"]}, "module": "m:f", "freeze": ["encoder"]},
        {"from": {"tuneJob": "search"}, "lora": {"rank": 4, "targets": ["query", "layers.0.value"]}},
        {"module": "m:f", "lora": {}},
    ],
)  # fmt: skip
def test_what_goes_together(model: dict[str, Any]) -> None:
    """And is written as it was read."""
    read = StartingModel.model_validate(model)
    assert StartingModel.model_validate(read.wire()) == read


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({}, "set exactly one of builtin, module"),
        ({"from": JOB, "builtin": "Perceptron", "module": "m:f"}, "set exactly one of builtin, module"),
        ({"from": {}}, "set exactly one of uri, endpoint, job, tuneJob"),
        ({"from": JOB | {"endpoint": "digits"}}, "set exactly one of uri, endpoint, job, tuneJob"),
        ({"from": {"uri": "s3://me:secret@models/bert"}}, "uri must hold no credentials"),
        ({"builtin": "Perceptron", "lora": {}}, "lora and freeze keep weights as they are: set from, or a module"),
        ({"builtin": "Perceptron", "freeze": ["1"]}, "lora and freeze keep weights as they are: set from, or a module"),
        ({"from": JOB, "lora": {}, "freeze": ["1"]}, "lora trains its adapters alone; leave out freeze"),
        ({"from": JOB | {"except": ["5."]}}, "should match pattern"),
    ],
)
def test_what_does_not_is_refused(model: dict[str, Any], said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValidationError, match=said):
        StartingModel.model_validate(model)


def test_what_rebuilds_a_network_is_as_it_was() -> None:
    """Versions that were published before there was `from` keep their digests, and jobs theirs."""
    model = train_job(model={"from": JOB, "module": "m:f", "freeze": ["1"]}).spec.model
    assert model.source == ModelSource(module="m:f")
    assert model.source.wire() == {"module": "m:f", "parameters": {}}
    assert spec_digest(train_job().spec) == "8f0f73dfd66c0f36"
