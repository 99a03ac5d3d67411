"""A pod as the planner sees it, from what the API server says of it."""

import sys
from typing import Any

from pydantic import ValidationError

from headrace.api.run_report import RunReport
from headrace.plan.values import Pod, PodPhase, Raw

MAIN = "main"
STUCK = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""Reasons for which a container waits that a person may have to do something about."""

NO_ROOM = "add a node that has room for it, or ask for less in the spec"
"""What to do about a pod that the scheduler finds no node for."""

LOST = "NodeLost"
DISRUPTED = frozenset({"Evicted", "Preempting", "NodeShutdown", "NodeAffinity", "Terminated", "UnexpectedAdmissionError", LOST})  # fmt: skip
"""Reasons of a failed pod that say nothing about its program."""


def seen_pod(raw: Raw) -> Pod:
    """The planner's value of a raw pod; its live report is not in it."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ended = _terminated(status)
    lost = status.get("phase") == "Unknown" or status.get("reason") == LOST
    phase = PodPhase.FAILED if lost else PodPhase(status.get("phase") or "Pending")
    reason, message = _why(status, conditions, ended)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=phase,
        # Interned: thousands of pods carry the same few keys and values.
        labels={sys.intern(key): sys.intern(value) for key, value in (metadata.get("labels") or {}).items()},
        ready=_holds(conditions, "Ready"),
        deleting="deletionTimestamp" in metadata,
        bound=bool(spec.get("nodeName")),
        disrupted=lost or _holds(conditions, "DisruptionTarget") or status.get("reason") in DISRUPTED,
        reason=reason,
        message=message,
        exit_code=ended.get("exitCode") if ended else None,
        final=_report(ended.get("message")) if ended else None,
        address=status.get("podIP") or "",
        ports={port["name"]: port["containerPort"] for port in _main(spec).get("ports") or () if "name" in port},
    )


def _main(spec: dict[str, Any]) -> dict[str, Any]:
    containers = spec.get("containers") or ()
    return next((each for each in containers if each.get("name") == MAIN), containers[0] if containers else {})


def _main_status(status: dict[str, Any]) -> dict[str, Any]:
    statuses = status.get("containerStatuses") or ()
    return next((each for each in statuses if each.get("name") == MAIN), statuses[0] if statuses else {})


def _terminated(status: dict[str, Any]) -> dict[str, Any] | None:
    ended: dict[str, Any] | None = (_main_status(status).get("state") or {}).get("terminated")
    return ended if status.get("phase") in ("Succeeded", "Failed") else None


def _holds(conditions: dict[str, dict[str, Any]], kind: str) -> bool:
    return bool(conditions.get(kind, {}).get("status") == "True")


def _why(
    status: dict[str, Any], conditions: dict[str, dict[str, Any]], ended: dict[str, Any] | None
) -> tuple[str, str]:
    if ended or status.get("phase") in ("Succeeded", "Failed"):
        ended = ended or {}
        return status.get("reason") or ended.get("reason") or "", status.get("message") or ended.get("message") or ""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        said = str(scheduled.get("message") or "no node was found yet").rstrip(". ")
        return scheduled.get("reason") or "Unschedulable", f"cannot be placed: {said}; {NO_ROOM}"
    waiting = (_main_status(status).get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in STUCK:
        return waiting["reason"], f"cannot start: {waiting.get('message') or waiting['reason']}"
    return "", ""


def _report(message: str | None) -> RunReport | None:
    if not message or not message.startswith("{"):
        return None
    try:
        return RunReport.model_validate_json(message)
    except ValidationError:
        # The program wrote something of its own; its exit code says what there is to say.
        return None
