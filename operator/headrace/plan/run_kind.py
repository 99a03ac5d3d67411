"""What tells the three kinds that run to an end apart, and what a run waits for: the values that `run` works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.api.base import Model
from headrace.api.pods import SecretKey, Workers
from headrace.api.run_report import RunReport
from headrace.api.status import RunStatus
from headrace.plan.values import Observed


@dataclass(frozen=True)
class Waiting:
    """Why a run cannot start yet."""

    reason: str
    message: str
    stalled: bool = False
    """Whether only a person can end the wait."""


@dataclass(frozen=True)
class RunKind:
    """What tells the three kinds apart."""

    module: str
    """The entry point of the head."""
    workers: Callable[[Any], Workers]
    """How many workers an object has, by its spec and its saved status."""
    pins: Mapping[str, Callable[[Observed], Model | Waiting | None]]
    """What a run starts with and keeps, by the field of the status that keeps it: how it is found, or why the run waits."""
    publish: Callable[[Observed], str]
    payload: Callable[[Any], dict[str, Any]]
    """The fields of the RunSpec that carry the object's spec and what is pinned for it alone."""
    shown: Callable[[RunReport], dict[str, Any]]
    """Fields of the status that a live report fills."""
    result: Callable[[RunReport], dict[str, Any] | None]
    """Fields of the status that a complete report fills; None if the report has no result."""
    stall_seconds: Callable[[Any], int | None]
    is_endless: Callable[[Any], bool] = lambda _: False
    """Whether a run of this spec never completes: it is Ready while it runs, and long healthy hours restore what may fail."""
    scaled: Callable[[Observed, RunStatus, datetime], RunStatus] = lambda _, status, __: status
    """The status of a run that goes on, with how many workers it should have."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of the environment of all its pods."""
    head_secrets: Callable[[Any], Mapping[str, SecretKey]] = lambda _: {}
    worker_secrets: Callable[[Any], Mapping[str, SecretKey]] = lambda _: {}
    """Variables of the environment of its head, and of its workers, that are keys of Secrets."""
