"""Trackers are named by plain addresses, and their credentials by Secrets alone."""

from typing import Any

import pytest
from pydantic import ValidationError

from headrace.api.pods import SecretKey
from headrace.api.tracking import MLflow, Tracking
from tests.gen import train_job

MLFLOW = {"uri": "https://mlflow.example.com/base", "experiment": "reviews"}
WANDB = {"project": "reviews", "secret": "wandb"}


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:w0rd@mlflow.example.com",
        "https://t0ken@mlflow.example.com/base",
        "https://mlflow.example.com/?token=w0rd",
        "http://mlflow:5000/#/experiments/1",
    ],
)
def test_an_address_holds_nothing_but_the_server(uri: str) -> None:
    """No user, password or parameters; the refusal says what to write and does not repeat what it refuses."""
    with pytest.raises(ValidationError, match="name a Secret for credentials") as refused:
        MLflow.model_validate(MLFLOW | {"uri": uri})
    assert "w0rd" not in str(refused.value) and "t0ken" not in str(refused.value)


@pytest.mark.parametrize("uri", ["mlflow:5000", "file:///mlruns", "https://", "databricks"])
def test_an_address_is_one_of_a_web_server(uri: str) -> None:
    """MLflow's other stores are not reached from a pod."""
    with pytest.raises(ValidationError):
        MLflow.model_validate(MLFLOW | {"uri": uri})


@pytest.mark.parametrize(
    "uri", ["http://mlflow.tools.svc:5000", "https://mlflow.example.com/base/", "http://[::1]:5000"]
)
def test_plain_addresses_pass(uri: str) -> None:
    """With a port, with a path, without a name."""
    assert MLflow.model_validate(MLFLOW | {"uri": uri}).uri == uri


def test_something_is_tracked() -> None:
    """An empty choice is refused; both at once are not."""
    with pytest.raises(ValidationError, match="set mlflow, weightsAndBiases or both"):
        Tracking()
    Tracking.model_validate({"mlflow": MLFLOW, "weightsAndBiases": WANDB})


@pytest.mark.parametrize(
    ("tracking", "secrets"),
    [
        ({"mlflow": MLFLOW}, {}),
        ({"weightsAndBiases": WANDB}, {"WANDB_API_KEY": "wandb"}),
        (
            {"mlflow": MLFLOW | {"credentials": {"secret": "login"}}},
            dict.fromkeys(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"), "login"),
        ),
    ],
)
def test_variables_have_the_names_that_the_tools_read(tracking: dict[str, Any], secrets: dict[str, str]) -> None:
    """Each with the Secret that holds it."""
    found = Tracking.model_validate(tracking).secrets
    assert found == {variable: SecretKey(name=name, key=variable) for variable, name in secrets.items()}


def test_a_credential_has_no_field() -> None:
    """A password in the manifest is an unknown field, and is not quoted."""
    with pytest.raises(ValidationError) as refused:
        train_job(tracking={"mlflow": MLFLOW | {"password": "w0rd"}})
    assert "w0rd" not in str(refused.value)
