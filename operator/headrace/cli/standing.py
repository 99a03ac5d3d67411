"""Where an object stands for someone who waits for it: still working, or settled one way or another. Pure.

Whether `headrace run` is over is decided here and nowhere else.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from headrace.api.meta import ObjectKey
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, Job, TrainJob, TuneJob
from headrace.api.status import EndpointPhase, Phase
from headrace.plan.conditions import holds
from headrace.plan.dependents import learns_from, offers_to, starts_from
from headrace.plan.recurrence import recurs

Objects = Mapping[ObjectKey, HeadraceObject]


class Standing(StrEnum):
    """What someone who waits can expect of an object."""

    WORKING = "Working"
    DONE = "Done"
    SERVING = "Serving"
    SUSPENDED = "Suspended"
    FAILED = "Failed"
    BLOCKED = "Blocked"
    """It waits for something that cannot come while nobody steps in."""


UNSUCCESSFUL = frozenset({Standing.FAILED, Standing.BLOCKED})


def standing(resource: HeadraceObject, objects: Objects) -> Standing:
    """Where an object stands among the others."""
    if resource.status.observed_generation < resource.metadata.generation:
        return Standing.WORKING
    if isinstance(resource, InferenceEndpoint):
        return _endpoint(resource, objects)
    match resource.status.phase:
        case Phase.COMPLETE:
            # What happens again by itself needs somebody who stays.
            return Standing.SERVING if recurs(resource) else Standing.DONE
        case Phase.FAILED:
            return Standing.FAILED
        case Phase.SUSPENDED:
            return Standing.SUSPENDED
        case Phase.RUNNING if holds(resource.status.conditions, "Ready"):
            # A stream: it never ends, and it does what it should.
            return Standing.SERVING
        case Phase.PENDING if isinstance(resource, TrainJob | TuneJob) and _without_data(resource, objects):
            return Standing.BLOCKED
        case Phase.PENDING if isinstance(resource, TrainJob) and _without_weights(resource, objects):
            return Standing.BLOCKED
    return Standing.WORKING


def _without_data(job: Job, objects: Objects) -> bool:
    key = learns_from(job)
    if key is None:
        return False
    pipeline = objects.get(key)
    source = standing(pipeline, objects) if isinstance(pipeline, DataPipeline) else Standing.BLOCKED
    if source == Standing.SUSPENDED:
        return job.status.input is None
    # The planner says Stalled when only a person can end the wait; the pipeline is asked too, since it may be repaired by now.
    return source in UNSUCCESSFUL and holds(job.status.conditions, "Stalled")


def _without_weights(job: TrainJob, objects: Objects) -> bool:
    key = starts_from(job)
    if key is None or job.status.started_from:
        return False
    # Jobs and endpoints may wait for each other in a ring: who asks is not asked.
    others = {other: found for other, found in objects.items() if other != job.key}
    if key not in others:
        return True
    return standing(others[key], others) in UNSUCCESSFUL | {Standing.SUSPENDED}


def _endpoint(endpoint: InferenceEndpoint, objects: Objects) -> Standing:
    status = endpoint.status
    if status.phase == EndpointPhase.SUSPENDED:
        return Standing.SUSPENDED
    offering = [
        other
        for other in objects.values()
        if isinstance(other, TrainJob | TuneJob) and offers_to(other) == endpoint.key
    ]
    if status.phase == EndpointPhase.READY and status.rollout is None and newest_offer_judged(endpoint, offering):
        return Standing.SERVING
    model_may_come = any(standing(job, objects) == Standing.WORKING for job in offering) or not newest_offer_judged(
        endpoint, offering
    )
    if status.stable is None and not model_may_come:
        return Standing.BLOCKED
    return Standing.WORKING


def newest_offer_judged(endpoint: InferenceEndpoint, offering: Iterable[Job]) -> bool:
    """Whether nothing that jobs offer is still to be judged: the newest model is stable, in the history, or older than the stable one."""
    models = [job.status.model for job in offering if job.status.model]
    if not models:
        return True
    newest = max(models, key=lambda model: (model.created_at, model.name))
    stable = endpoint.status.stable
    return newest.name in {record.version for record in endpoint.status.history} or (
        stable is not None and newest.created_at <= stable.created_at
    )


def is_over(standings: Iterable[Standing], *, until_ready: bool) -> bool:
    """Whether nothing more is to be waited for; a serving endpoint keeps a run alive unless `until_ready`."""
    found = set(standings)
    return Standing.WORKING not in found and (until_ready or Standing.SERVING not in found)
