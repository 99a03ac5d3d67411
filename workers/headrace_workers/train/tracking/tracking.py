"""What a run tells of itself to the trackers that its spec names; with none, nothing."""

import os
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager

from headrace.api import environment
from headrace.api.artifacts import DatasetVersion, ModelVersion
from headrace.api.pods import SecretKey
from headrace.api.run_report import CurvePoint, Traffic
from headrace.api.tracking import MLFLOW_VARIABLES
from headrace.api.tracking import Tracking as TrackingSpec
from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.head import Head
from headrace_workers.report import Reporter
from headrace_workers.train.tracking.delivery import SETTLE_SECONDS, Delivery
from headrace_workers.train.tracking.mlflow import MlflowTracker
from headrace_workers.train.tracking.subject import model_facts, subject_of
from headrace_workers.train.tracking.tracker import End, Point, Subject, Tracker
from headrace_workers.train.tracking.weights_and_biases import WandbTracker

MOST_EVENTS = 40
"""Events kept of an attempt, the newest."""
MOST_EARLIER_POINTS = 5000
"""Points that are told again, the newest: those before them were told, or counted, by earlier attempts."""

GRACE_SHARE = 12
"""Of the time that a pod has after SIGTERM trackers get no more than this part: the checkpoint needs it, and the last report."""


class Tracking:
    """Tells every tracker the same; nothing here waits for one, but `close` a little."""

    def __init__(self, trackers: Sequence[Tracker] = (), reporter: Reporter | None = None, attempt: int = 1) -> None:
        """Starts the deliveries."""
        self._reporter, self._attempt = reporter, attempt
        self._events: list[str] = []
        self._last_step = 0
        self._deliveries: tuple[Delivery, ...] = ()
        self._deliveries = tuple(Delivery(tracker, self._report) for tracker in trackers)
        self._report()

    def point(self, step: int, values: Mapping[str, float], traffic: Traffic | None = None, **more: float) -> None:
        """A point of the curve, with what it cost until then."""
        costs = {
            "traffic.bytesSent": float(traffic.bytes_sent), "traffic.bytesUncompressed": float(traffic.bytes_uncompressed),
            "traffic.encodingSeconds": traffic.encoding_seconds,
        } if traffic else {}  # fmt: skip
        self._tell([Point(step, {**values, **costs, **more}, time.time())])

    def resumed(self, step: int) -> None:
        """The run goes on from a step: what came after it is done again."""
        for delivery in self._deliveries:
            delivery.take_back_after(step)

    def undone(self, step: int) -> None:
        """The run went back to a step: what comes after it is not what was told."""
        for delivery in self._deliveries:
            delivery.undo_after(step)

    def earlier(self, curve: Sequence[CurvePoint]) -> None:
        """The curve of earlier attempts; what a tracker has of it is not told again."""
        now = time.time()
        self._tell([Point(point.step, point.values, now) for point in curve[-MOST_EARLIER_POINTS:]])

    def event(self, text: str) -> None:
        """Something that happened to the run, such as a change of its group."""
        self._events = [*self._events, text][-MOST_EVENTS:]
        self._tell(facts={f"headrace.attempt.{self._attempt}": "; ".join(self._events)})

    def published(self, version: ModelVersion) -> None:
        """The model and its metrics, which are told at the last step."""
        final = {f"final.{name}": value for name, value in version.metrics.items()}
        self._tell([Point(self._last_step, final, time.time())], model_facts(version))

    def close(self, end: End, seconds: float = SETTLE_SECONDS) -> None:
        """Has the end of the attempt told, and waits for that, but not for long."""
        for delivery in self._deliveries:
            delivery.end(end)
        ends = time.monotonic() + seconds
        for delivery in self._deliveries:
            delivery.settle(max(0.0, ends - time.monotonic()))

    def _tell(self, points: Sequence[Point] = (), facts: Mapping[str, str] | None = None) -> None:
        self._last_step = max((self._last_step, *(point.step for point in points)))
        for delivery in self._deliveries:
            delivery.tell(points, facts)

    def _report(self) -> None:
        if self._reporter and self._deliveries:
            self._reporter.update(tracking=tuple(delivery.state for delivery in self._deliveries))


@contextmanager
def tracked(head: Head, spec: TrainJobSpec, dataset: DatasetVersion) -> Iterator[Tracking]:
    """The tracking of one attempt, which ends as the body does. RunFault if it cannot be done as it was asked for."""
    # Taken before Ray starts: none of its processes inherits what opens a tracker.
    credentials = taken(os.environ, spec.tracking.secrets) if spec.tracking else {}
    trackers = trackers_of(spec.tracking, credentials, subject_of(head.spec, spec, dataset)) if spec.tracking else ()
    tracking = Tracking(trackers, head.reporter, head.spec.identity.attempt)
    try:
        yield tracking
    except Interrupted:
        tracking.close(End.STOPPED, grace_seconds() / GRACE_SHARE)
        raise
    except BaseException:
        tracking.close(End.FAILED)
        raise
    tracking.close(End.FINISHED)


def grace_seconds() -> float:
    """How long the pod may take to end."""
    return float(os.environ.get(environment.GRACE_SECONDS, environment.GRACE_SECONDS_DEFAULT))


def taken(environ: MutableMapping[str, str], secrets: Mapping[str, SecretKey]) -> dict[str, str]:
    """The credentials, which are no longer in the environment; RunFault where a Secret has none."""
    found = {name: environ.pop(name) for name in secrets if environ.get(name)}
    for secret in sorted({each.name for each in secrets.values()}):
        names = sorted(name for name, each in secrets.items() if each.name == secret)
        if not found.keys() & set(names):
            message = f"the Secret {secret}, which spec.tracking names, is not there or has none of the keys {', '.join(names)}; make it, or take it out of spec.tracking"
            raise RunFault("SecretMissing", message, retryable=True)
    return found


def trackers_of(spec: TrackingSpec, credentials: Mapping[str, str], subject: Subject) -> tuple[Tracker, ...]:
    """A tracker for each that is named."""
    trackers: list[Tracker] = []
    if spec.mlflow:
        own = {name: credentials[name] for name in MLFLOW_VARIABLES if name in credentials}
        trackers.append(MlflowTracker(spec.mlflow, subject, own))
    if spec.weights_and_biases:
        trackers.append(WandbTracker(spec.weights_and_biases, subject, credentials))
    return tuple(trackers)
