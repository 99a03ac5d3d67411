"""A pod as local mode keeps it: the manifest that was asked for, and a status that says what became of it.

The status is written before anything rests on it, so that whoever opens the folder next knows what was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from headrace.api import environment
from headrace.api.base import Model
from headrace.api.meta import Time
from headrace.api.run_report import RunReport
from headrace.local.store import Key, key_of
from headrace.plan.values import Pod, PodPhase, Raw

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 30


class PodStatus(Model):
    """What became of a pod."""

    phase: PodPhase = PodPhase.PENDING
    reason: str = ""
    message: str = ""
    ready: bool = False
    disrupted: bool = False
    exit_code: int | None = None
    termination_message: str = ""
    sequence: int = 0
    """Pods are placed in this order."""
    folder: str = ""
    """Relative to the state folder."""
    ports: dict[str, int] = {}
    """The loopback port of every named container port."""
    gpus: tuple[str, ...] = ()
    running: bool = False
    """Whether run number `restarts` of its command has been started and has not been seen to end."""
    restarts: int = 0
    backoff_level: int = 0
    started_at: Time | None = None
    retry_at: Time | None = None


@dataclass(frozen=True)
class LocalPod:
    """A stored pod, typed as far as local mode reads it."""

    raw: Raw
    status: PodStatus

    @classmethod
    def of(cls, raw: Raw) -> "LocalPod":
        """The pod of a stored object."""
        return cls(raw, PodStatus.model_validate(raw.get("status", {})))

    @property
    def key(self) -> Key:
        """Its place in the store."""
        return key_of(self.raw)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.raw["metadata"]["uid"])

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.raw["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return self.raw["metadata"].get("annotations") or {}

    @property
    def container(self) -> Raw:
        """Its one container."""
        return dict(self.raw["spec"]["containers"][0])

    @property
    def deadline(self) -> datetime | None:
        """The moment by which it must be gone; None unless it is being deleted."""
        moment = self.raw["metadata"].get("deletionTimestamp")
        return datetime.fromisoformat(moment) if moment else None

    @property
    def deleting(self) -> bool:
        """Whether it is to go."""
        return self.deadline is not None

    @property
    def grace_seconds(self) -> float:
        """How long it may take to end after SIGTERM."""
        return float(self.raw["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS))

    @property
    def restarts_after_exit(self) -> bool:
        """Whether its command is started again when it ends."""
        return str(self.raw["spec"].get("restartPolicy", "Always")) == "Always"

    @property
    def terminated(self) -> bool:
        """Whether it has ended for good."""
        return self.status.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)

    @property
    def token_reference(self) -> tuple[str, str] | None:
        """The Secret and the key in it that hold the token of its report."""
        for variable in self.container.get("env", ()):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if variable["name"] == environment.TOKEN and reference:
                return str(reference["name"]), str(reference["key"])
        return None

    def seen(self, live: RunReport | None) -> Pod:
        """The pod as the planner sees it."""
        status = self.status
        return Pod(
            name=self.name, uid=self.uid, phase=status.phase, labels=dict(self.labels), ready=status.ready and not self.deleting,
            deleting=self.deleting, disrupted=status.disrupted, reason=status.reason, message=status.message, exit_code=status.exit_code,
            final=parse_report(status.termination_message), live=live, address=LOOPBACK, ports=dict(status.ports),
        )  # fmt: skip


def parse_report(text: str) -> RunReport | None:
    """The report in a termination message; None if it holds something else, as after a crash."""
    if not text:
        return None
    try:
        return RunReport.model_validate_json(text)
    except ValidationError:
        return None


def changed(status: PodStatus, **changes: Any) -> PodStatus:
    """The status with some fields replaced."""
    return status.model_copy(update=changes)
