"""What a user may say about pods, the same words in all four kinds."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import FreeObject, Model, Name, Rule
from headrace.api.environment import GRACE_SECONDS_DEFAULT
from headrace.api.quantity import Quantity


class Resources(Model):
    """What one pod asks for. Requests equal limits for memory and accelerators; CPU is a request."""

    cpu: Annotated[Quantity, Field(description="Cores, such as 2 or 500m.")] = "1"
    memory: Annotated[Quantity, Field(description="Memory, such as 8Gi.")] = "2Gi"
    gpu: Annotated[
        int, Field(ge=0, le=64, description="Accelerators; their resource name is a setting of the operator.")
    ] = 0
    ephemeral_storage: Annotated[Quantity | None, Field(description="Scratch disk, such as 20Gi.")] = None


class Workers(Model):
    """How many workers a run may have, and what each one asks for."""

    min: Annotated[int, Field(ge=1, le=4096, description="The run starts once this many workers fit.")] = 1
    max: Annotated[int, Field(ge=1, le=4096, description="The run never has more workers than this.")] = 1
    desired: Annotated[
        int | None,
        Field(
            ge=1,
            le=4096,
            description="How many are wanted now; absent, the operator decides. `kubectl scale` sets it; leave it out of Git.",
        ),
    ] = None
    resources: Annotated[Resources, Field(description="What each worker asks for.")] = Resources()
    rules = (
        Rule("self.min <= self.max", "workers.min must be at most workers.max", lambda w: w.min <= w.max),
        Rule(
            "!has(self.desired) || (self.min <= self.desired && self.desired <= self.max)",
            "workers.desired must lie between workers.min and workers.max",
            lambda w: w.desired is None or w.min <= w.desired <= w.max,
        ),
    )

    @property
    def wanted(self) -> int:
        """How many workers the run should have now."""
        return self.max if self.desired is None else self.desired


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class SecretKey(Model):
    """One key of a Secret of the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="The Secret's name.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="The key in it.")]


class EnvironmentVariable(Model):
    """A variable of the pods' environment."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The variable's name."),
    ]
    value: Annotated[str | None, Field(max_length=32768, description="Its value; never write a secret here.")] = None
    secret: Annotated[SecretKey | None, Field(description="A key of a Secret that holds its value.")] = None
    rules = (
        Rule(
            "has(self.value) != has(self.secret)",
            "set exactly one of value, secret",
            lambda e: (e.value is None) != (e.secret is None),
        ),
    )


class Toleration(Model):
    """A taint that the pods accept, as in a pod's spec."""

    key: Annotated[str | None, Field(max_length=316, description="The taint's key; empty matches all.")] = None
    operator: Annotated[str | None, Field(pattern="^(Exists|Equal)$", description="Exists or Equal.")] = None
    value: Annotated[str | None, Field(max_length=63, description="The taint's value.")] = None
    effect: Annotated[
        str | None, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", description="The taint's effect.")
    ] = None
    toleration_seconds: Annotated[int | None, Field(ge=0, description="How long a NoExecute taint is borne.")] = None


class Volume(Model):
    """A volume that is mounted into every pod of the run."""

    name: Annotated[Name, Field(description="The volume's name.")]
    mount_path: Annotated[str, Field(min_length=1, max_length=512, pattern="^/", description="Where it is mounted.")]
    read_only: Annotated[bool, Field(description="Whether it is mounted read-only.")] = False
    source: Annotated[
        FreeObject,
        Field(description="The volume's source as in a pod's spec, such as persistentVolumeClaim: {claimName: data}."),
    ]


class PodSettings(Model):
    """How the pods are made and where they may run."""

    image: Annotated[
        str | None, Field(min_length=1, max_length=512, description="The image; absent, the operator's worker image.")
    ] = None
    image_pull_policy: Annotated[PullPolicy | None, Field(description="When the image is pulled.")] = None
    image_pull_secrets: Annotated[
        tuple[str, ...], Field(max_length=8, description="Secrets that open the registry.")
    ] = ()
    environment: Annotated[
        tuple[EnvironmentVariable, ...], Field(max_length=128, description="Variables for every container.")
    ] = ()
    volumes: Annotated[tuple[Volume, ...], Field(max_length=32, description="Volumes mounted into every pod.")] = ()
    node_selector: Annotated[dict[str, str], Field(max_length=32, description="Labels that a node must have.")] = {}
    tolerations: Annotated[
        tuple[Toleration, ...], Field(max_length=32, description="Taints that the pods accept.")
    ] = ()
    affinity: Annotated[FreeObject | None, Field(description="Affinity as in a pod's spec.")] = None
    topology_spread_constraints: Annotated[
        tuple[FreeObject, ...], Field(max_length=8, description="Spread rules as in a pod's spec.")
    ] = ()
    priority_class_name: Annotated[str | None, Field(max_length=253, description="The pods' PriorityClass.")] = None
    scheduler_name: Annotated[str | None, Field(max_length=253, description="The scheduler that places the pods.")] = (
        None
    )
    runtime_class_name: Annotated[str | None, Field(max_length=253, description="The pods' RuntimeClass.")] = None
    service_account_name: Annotated[
        str | None, Field(max_length=253, description="The pods' ServiceAccount; its token is not mounted.")
    ] = None
    grace_period_seconds: Annotated[
        int, Field(ge=1, le=3600, description="How long a pod may take to checkpoint after SIGTERM.")
    ] = GRACE_SECONDS_DEFAULT
