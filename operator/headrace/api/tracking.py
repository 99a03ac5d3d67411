"""Tracking: the tools beside Headrace in which a run's curve, parameters and lineage appear.

Credentials are only named here. A Secret holds them under the tools' own names, and they reach a run's head alone.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from headrace.api.base import Model, Rule
from headrace.api.pods import SecretKey

MLFLOW_VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
WANDB_VARIABLES = ("WANDB_API_KEY",)
"""The keys of a Secret that are read, and the variables of the head that they become."""

ServerAddress = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^https?://[^/]+.*$")]
"""Where a server answers: http: or https:."""

WANDB_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_. -]*$"

SecretName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", description="Its name.")
]

PLAIN_ADDRESS = Rule(
    "!has(self.uri) || !self.uri.matches('^[a-z]+://[^/]*@|[?#]')",
    "uri must be the plain address of a server, without user, password or parameters; name a Secret for credentials",
    lambda value: value.uri is None or not ("@" in value.uri.split("/")[2] or "?" in value.uri or "#" in value.uri),
)
"""For models with a field `uri`."""


class TrackerCredentials(Model):
    """Where the credentials of a tracker are."""

    secret: Annotated[
        SecretName,
        Field(
            description="The Secret, with the key MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; only the run's head gets them."
        ),
    ]


class MLflow(Model):
    """A server of MLflow, or of what speaks its REST API."""

    uri: Annotated[
        ServerAddress,
        Field(
            description="The server's address; one inside the cluster has to be allowed by the operator's setting egress."
        ),
    ]
    experiment: Annotated[
        str, Field(min_length=1, max_length=250, description="The experiment; it is made where there is none.")
    ]
    credentials: Annotated[
        TrackerCredentials | None, Field(description="What opens the server; absent, it asks for nothing.")
    ] = None
    rules = (PLAIN_ADDRESS,)


class WeightsAndBiases(Model):
    """A project of Weights & Biases; the image needs the package wandb."""

    project: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=WANDB_NAME,
            description="The project; it is made where there is none.",
        ),
    ]
    entity: Annotated[
        str | None,
        Field(min_length=1, max_length=128, pattern=WANDB_NAME, description="The team or user that has the project; absent, the key's own."),
    ] = None  # fmt: skip
    secret: Annotated[
        SecretName, Field(description="The Secret, with the key WANDB_API_KEY; only the run's head gets it.")
    ]
    uri: Annotated[
        ServerAddress | None, Field(description="The address of a server of your own; absent, the public one.")
    ] = None
    rules = (PLAIN_ADDRESS,)


class Tracking(Model):
    """The trackers of a run. One that is down or refuses never stops training: the curve is in the run's storage anyway."""

    mlflow: Annotated[MLflow | None, Field(description="MLflow.")] = None
    weights_and_biases: Annotated[WeightsAndBiases | None, Field(description="Weights & Biases.")] = None
    rules = (
        Rule(
            "has(self.mlflow) || has(self.weightsAndBiases)",
            "set mlflow, weightsAndBiases or both",
            lambda t: t.mlflow is not None or t.weights_and_biases is not None,
        ),
    )

    @property
    def secrets(self) -> Mapping[str, SecretKey]:
        """What holds each variable, by the variable's name."""
        found: dict[str, str] = {}
        if self.mlflow and self.mlflow.credentials:
            found |= dict.fromkeys(MLFLOW_VARIABLES, self.mlflow.credentials.secret)
        if self.weights_and_biases:
            found |= dict.fromkeys(WANDB_VARIABLES, self.weights_and_biases.secret)
        return {variable: SecretKey(name=secret, key=variable) for variable, secret in found.items()}
