"""What every object carries whatever its kind: identity, conditions, time.

The group, version and kinds are named here once. Nothing here knows a particular spec.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from headrace.api.base import Model

GROUP = "headrace.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "headrace.dev/v1alpha1"


class Kind(StrEnum):
    """The four custom resources."""

    DATA_PIPELINE = "DataPipeline"
    TRAIN_JOB = "TrainJob"
    TUNE_JOB = "TuneJob"
    INFERENCE_ENDPOINT = "InferenceEndpoint"


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def format_time(value: datetime) -> str:
    """A time as Kubernetes writes it, with milliseconds: 2026-01-02T03:04:05.678Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, AfterValidator(_utc), PlainSerializer(format_time, return_type=str, when_used="json")]
"""A moment in UTC."""


class OwnerReference(Model):
    """Who owns a child; Kubernetes deletes the child with its owner."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    api_version: str
    kind: str
    name: str
    uid: str


class ObjectMeta(Model):
    """The part of Kubernetes' metadata that Headrace reads; the rest passes by."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    name: Annotated[str, Field(min_length=1, max_length=52, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One observed fact about an object, as Kubernetes words it."""

    type: Annotated[
        str, Field(min_length=1, max_length=64, description="What is being judged, such as Ready or Failed.")
    ]
    status: Annotated[ConditionStatus, Field(description="Whether it holds.")]
    reason: Annotated[
        str,
        Field(
            min_length=1, max_length=128, pattern=r"^[A-Z][A-Za-z0-9]*$", description="The fact in one CamelCase word."
        ),
    ]
    message: Annotated[str, Field(max_length=2048, description="The fact in a sentence, and what to do next.")] = ""
    observed_generation: Annotated[int, Field(ge=0, description="The generation of the spec that was judged.")] = 0
    last_transition_time: Annotated[Time, Field(description="When the status last changed.")]


@dataclass(frozen=True)
class ObjectKey:
    """The name of one custom resource; what the queue carries."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def owner_reference(kind: Kind, metadata: ObjectMeta) -> dict[str, Any]:
    """The reference that makes a child belong to a custom resource.

    Without blockOwnerDeletion, which on some clusters takes the right to change the owner's finalizers.
    """
    return {"apiVersion": API_VERSION, "kind": str(kind), "name": metadata.name, "uid": metadata.uid,
            "controller": True}  # fmt: skip
