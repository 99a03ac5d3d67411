"""The planner's values: what was observed, what is to be done. All frozen, all printable, all comparable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from headrace.api.meta import Condition, ObjectKey
from headrace.api.objects import HeadraceObject
from headrace.api.run_report import RunReport
from headrace.api.status import InferenceEndpointStatus, RunStatus
from headrace.plan.report_route import ReportRoute

ROLLED_BACK = "RolledBack"
"""The condition of a training that went back as its loss diverged."""
Status = RunStatus | InferenceEndpointStatus
Raw = dict[str, Any]


class PodPhase(StrEnum):
    """Where a pod is, in Kubernetes' words."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Pod:
    """One pod as it was seen."""

    name: str
    uid: str
    phase: PodPhase
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = False
    deleting: bool = False
    bound: bool = False
    """Whether it waits on a node that has room for it; one that is past Pending has had one."""
    disrupted: bool = False
    """Whether it ended through no fault of its own: eviction, preemption, a lost node."""
    reason: str = ""
    message: str = ""
    """Why it waits or how it ended, in the cluster's words."""
    exit_code: int | None = None
    final: RunReport | None = None
    """The report of its termination message."""
    live: RunReport | None = None
    """The last report that could be read while it ran."""
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Where its named ports are reached from other pods of the cluster."""

    @property
    def terminated(self) -> bool:
        """Whether its processes have ended."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)

    @property
    def report(self) -> RunReport | None:
        """The newest report there is."""
        return self.final or self.live


@dataclass(frozen=True)
class Settings:
    """What the operator was told at its start."""

    storage_root: str = "file:///var/lib/headrace"
    storage_claim: str = ""
    """The PersistentVolumeClaim, of each namespace, that pods mount at a storage root of the form file:///…"""
    worker_image: str = "headrace-worker"
    gpu_resource: str = "nvidia.com/gpu"
    progress_seconds: float = 10.0
    """The least time between two status writes that only show progress."""
    report_stale_seconds: float = 120.0
    isolate: bool = True
    """Whether pods get a NetworkPolicy."""
    operator_namespace: str = ""
    """From where reports are pulled."""
    reports: ReportRoute = ReportRoute.DIRECT
    egress: tuple[Raw, ...] = ()
    """More that pods may reach, as rules of a NetworkPolicy: a store inside the cluster, say."""
    local: bool = False


@dataclass(frozen=True)
class Refusal:
    """A child that the world would not take when it was last asked: a quota, a policy or a rule is in the way."""

    kind: str
    name: str
    reason: str
    """In one CamelCase word."""
    message: str
    """The world's own sentence."""
    times: int = 1
    """How often in a row it was refused."""
    ask_at: datetime | None = None
    """When to ask again; None for at once."""


@dataclass(frozen=True)
class Observed:
    """All that a plan may depend on, besides the time."""

    object: HeadraceObject
    pods: tuple[Pod, ...] = ()
    children: tuple[Raw, ...] = ()
    """The other children as raw objects: ConfigMaps, Secrets (without data), Services, Deployments."""
    related: Mapping[ObjectKey, HeadraceObject] = field(default_factory=dict)
    """The custom resources that this one depends on, or that offer it models."""
    settings: Settings = Settings()
    refusals: tuple[Refusal, ...] = ()
    """What was refused when the last plan was acted on."""

    def child(self, kind: str, name: str) -> Raw | None:
        """The child of this kind and name, if it was seen."""
        return next(
            (child for child in self.children if child["kind"] == kind and child["metadata"]["name"] == name), None
        )


@dataclass(frozen=True)
class Create:
    """POST a child. AlreadyExists is success only if it has the same owner UID and attempt and is not being deleted."""

    manifest: Raw
    generate: tuple[str, ...] = ()
    """Keys of a Secret that the edge fills with random text."""


@dataclass(frozen=True)
class Apply:
    """Server-side apply a child that may change."""

    manifest: Raw


@dataclass(frozen=True)
class Delete:
    """Delete a child, if it still has this UID."""

    kind: str
    name: str
    uid: str
    grace_seconds: int | None = None


@dataclass(frozen=True)
class DeleteSelf:
    """Delete the custom resource itself, if it still has this UID: its time to live is over."""

    uid: str


@dataclass(frozen=True)
class Push:
    """PUT JSON to a pod's report port with the run's token."""

    pod: str
    path: str
    body: Raw


Action = Create | Apply | Delete | DeleteSelf | Push


@dataclass(frozen=True)
class Plan:
    """What to save, what to do after that, when to look again at the latest."""

    status: Status
    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None


def transitions(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The conditions whose status or reason changed: what a person would want to hear of. Of roll-backs that is each one."""
    known = {condition.type: _told(condition) for condition in before}
    return tuple(condition for condition in after if known.get(condition.type) != _told(condition))


def _told(condition: Condition) -> tuple[str, ...]:
    message = condition.message if condition.type == ROLLED_BACK else ""
    return condition.status, condition.reason, message
