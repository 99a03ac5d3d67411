"""The life of an endpoint: the first version, then a candidate beside the stable one, weights step by step, a verdict.

As for runs, a pass that changes a decision acts on nothing: the next pass acts, on what was saved.
"""

from datetime import datetime, timedelta
from typing import Any

from headrace.api.artifacts import ModelVersion
from headrace.api.objects import InferenceEndpoint, TrainJob, TuneJob
from headrace.api.status import (
    Baseline,
    EndpointPhase,
    InferenceEndpointStatus,
    RolloutRecord,
    RolloutStatus,
    Verdict,
    VersionStatus,
)  # fmt: skip
from headrace.plan.conditions import Fact, find, refused, settle
from headrace.plan.endpoint_children import (
    converge_endpoint,
    leaving_pods,
    ready_routers,
    ready_servers,
    routers_agree,
    seen_traffic,
    versions_of,
    weight_of,
)  # fmt: skip
from headrace.plan.rollout import Judgement, Opinion, judge_offline, judge_online, restarted
from headrace.plan.values import Observed, Plan

KEPT_RECORDS = 20
DECISIONS = ("stable", "rollout", "history")
Decision = tuple[InferenceEndpointStatus, Opinion | None]


def plan_endpoint(observed: Observed, now: datetime) -> Plan:
    """The plan of an InferenceEndpoint."""
    endpoint = _endpoint(observed)
    if endpoint.metadata.deletion_timestamp:
        return Plan(endpoint.status)
    decided, opinion = decide_endpoint(observed, now)
    status = _shown(observed, decided, opinion, now)
    if any(getattr(decided, name) != getattr(endpoint.status, name) for name in DECISIONS):
        return Plan(status, requeue_after=0.0)
    return Plan(status, converge_endpoint(observed), _look_again(endpoint, now))


def _endpoint(observed: Observed) -> InferenceEndpoint:
    assert isinstance(observed.object, InferenceEndpoint)
    return observed.object


def offers(observed: Observed) -> list[ModelVersion]:
    """The model versions that jobs offer, oldest first."""
    jobs = (other for other in observed.related.values() if isinstance(other, TrainJob | TuneJob))
    models = (job.status.model for job in jobs if job.status.model is not None)
    return sorted(models, key=lambda model: (model.created_at, model.name))


def decide_endpoint(observed: Observed, now: datetime) -> Decision:
    """The status with the next decision in it, and what was thought of the candidate."""
    endpoint = _endpoint(observed)
    status = endpoint.status
    if endpoint.spec.suspend:
        return status.model_copy(update={"rollout": None}), None
    if status.rollout:
        return _advance(observed, status.rollout, now)
    judged = {record.version for record in status.history} | ({status.stable.name} if status.stable else set())
    fresh = [
        model
        for model in offers(observed)
        if model.name not in judged and (status.stable is None or model.created_at > status.stable.created_at)
    ]
    if not fresh:
        return status, None
    candidate = fresh[-1]
    if status.stable is None:
        return _ended(status, candidate, Verdict.PROMOTED, "the first version", now), None
    opinion = judge_offline(endpoint.spec.rollout.offline, status.stable, candidate)
    match opinion.judgement:
        case Judgement.PASS:
            return status.model_copy(update={"rollout": RolloutStatus(candidate=candidate, start_time=now)}), opinion
        case Judgement.FAIL:
            return _ended(status, candidate, Verdict.REJECTED, opinion.message, now), opinion
        case Judgement.UNKNOWN:
            return _ended(status, candidate, Verdict.INCONCLUSIVE, opinion.message, now), opinion


def _ended(
    status: InferenceEndpointStatus, candidate: ModelVersion, verdict: Verdict, message: str, now: datetime
) -> InferenceEndpointStatus:
    record = RolloutRecord(version=candidate.name, verdict=verdict, message=message[:1024], time=now)
    update: dict[str, Any] = {"rollout": None, "history": (record, *status.history)[:KEPT_RECORDS]}
    return status.model_copy(update=update | ({"stable": candidate} if verdict == Verdict.PROMOTED else {}))


def _advance(observed: Observed, rollout: RolloutStatus, now: datetime) -> Decision:
    endpoint = _endpoint(observed)
    status, policy = endpoint.status, endpoint.spec.rollout
    if any(model.created_at > rollout.candidate.created_at for model in offers(observed)):
        return _ended(status, rollout.candidate, Verdict.SUPERSEDED, "a newer version was offered", now), None
    servers = ready_servers(observed, rollout.candidate.name)
    opinion = Opinion(
        Judgement.UNKNOWN, f"{len(servers)} of {endpoint.spec.replicas.min} servers of the candidate are ready"
    )
    if rollout.step < 0:
        if len(servers) >= endpoint.spec.replicas.min:
            return _next_step(endpoint, rollout, "its servers are ready", now), None
    elif rollout.step_time is None or rollout.baseline is None:
        opinion = Opinion(
            Judgement.UNKNOWN, f"the routers are being told to give {rollout.weight} % of the traffic to the candidate"
        )
        if routers_agree(observed):
            return _begin_step(observed, rollout, now), opinion
    else:
        traffic = seen_traffic(observed, rollout.candidate.name)
        if restarted(rollout.baseline, traffic):
            return _begin_step(observed, rollout, now), opinion
        opinion = judge_online(policy.online, rollout.baseline, traffic)
        if opinion.judgement == Judgement.FAIL:
            return _ended(
                status,
                rollout.candidate,
                Verdict.ROLLED_BACK,
                f"at {rollout.weight} % of the traffic {opinion.message}",
                now,
            ), opinion
        if opinion.judgement == Judgement.PASS and now >= _held_until(endpoint, rollout, rollout.step_time):
            return _next_step(endpoint, rollout, opinion.message, now), opinion
    if now >= rollout.start_time + timedelta(seconds=policy.deadline_seconds):
        return _ended(
            status,
            rollout.candidate,
            Verdict.INCONCLUSIVE,
            f"no verdict after deadlineSeconds, {policy.deadline_seconds}: {opinion.message}",
            now,
        ), opinion
    return status, opinion


def _held_until(endpoint: InferenceEndpoint, rollout: RolloutStatus, since: datetime) -> datetime:
    canary = endpoint.spec.rollout.canary
    steps = canary.steps if canary else ()
    return since + timedelta(seconds=steps[min(rollout.step, len(steps) - 1)].hold_seconds if steps else 0)


def _next_step(
    endpoint: InferenceEndpoint, rollout: RolloutStatus, message: str, now: datetime
) -> InferenceEndpointStatus:
    canary = endpoint.spec.rollout.canary
    steps = canary.steps if canary else ()
    following = rollout.step + 1
    if following >= len(steps):
        return _ended(endpoint.status, rollout.candidate, Verdict.PROMOTED, message, now)
    update = {"step": following, "weight": steps[following].weight, "step_time": None, "baseline": None}
    return endpoint.status.model_copy(update={"rollout": rollout.model_copy(update=update)})


def _begin_step(observed: Observed, rollout: RolloutStatus, now: datetime) -> InferenceEndpointStatus:
    traffic = seen_traffic(observed, rollout.candidate.name)
    baseline = Baseline(
        requests=traffic.requests, errors=traffic.errors, latency_milliseconds=traffic.latency_milliseconds
    )
    return _endpoint(observed).status.model_copy(
        update={"rollout": rollout.model_copy(update={"step_time": now, "baseline": baseline})}
    )


def _shown(
    observed: Observed, decided: InferenceEndpointStatus, opinion: Opinion | None, now: datetime
) -> InferenceEndpointStatus:
    endpoint = _endpoint(observed)
    versions = tuple(
        VersionStatus(
            version=version.name,
            weight=weight_of(endpoint, version.name),
            ready=len(ready_servers(observed, version.name)),
        )
        for version in versions_of(endpoint)
    )
    phase, reason, message = _state(observed, decided, opinion)
    facts = _facts(decided, phase, reason, message)
    if blocked := refused(observed.refusals):
        facts.append(blocked)
    conditions = settle(endpoint.status.conditions, facts, endpoint.metadata.generation, now)
    return decided.model_copy(
        update={
            "observed_generation": endpoint.metadata.generation, "phase": phase, "versions": versions,
            "url": _url(observed), "conditions": conditions,
        }
    )  # fmt: skip


def _state(
    observed: Observed, decided: InferenceEndpointStatus, opinion: Opinion | None
) -> tuple[EndpointPhase, str, str]:
    endpoint = _endpoint(observed)
    if endpoint.spec.suspend:
        return EndpointPhase.SUSPENDED, "Suspended", "the endpoint is suspended; set spec.suspend to false to resume it"
    if decided.stable is None:
        return (
            EndpointPhase.WAITING,
            "NoModel",
            f"waits for a model; name it in a job: rollout: {{endpoint: {endpoint.metadata.name}}}",
        )
    ready = len(ready_servers(observed, decided.stable.name))
    if not ready or not _takes_requests(observed, decided.stable.name):
        before = find(endpoint.status.conditions, "Ready")
        was_ready = endpoint.status.phase == EndpointPhase.DEGRADED or (before is not None and before.status == "True")
        phase = EndpointPhase.DEGRADED if was_ready else EndpointPhase.STARTING
        return (
            phase,
            "ServersMissing" if not ready else "RoutersMissing",
            _missing(observed, decided.stable.name, ready),
        )
    if decided.rollout:
        share = f"{decided.rollout.candidate.name} has {decided.rollout.weight} % of the traffic"
        return EndpointPhase.PROGRESSING, "RolloutInProgress", f"{share}; {opinion.message}" if opinion else share
    if leaving := leaving_pods(observed):
        words = f"{decided.stable.name} serves; pods of the last rollout are leaving: {', '.join(leaving)}"
        return EndpointPhase.PROGRESSING, "OldServersLeaving", words
    return EndpointPhase.READY, "Serving", f"{decided.stable.name} serves"


def _takes_requests(observed: Observed, version: str) -> bool:
    tables = [pod.live.routing for pod in ready_routers(observed) if pod.live and pod.live.routing]
    return any(backend.version == version and backend.endpoints for table in tables for backend in table.backends)


def _missing(observed: Observed, version: str, ready: int) -> str:
    stuck = next(
        (pod for pod in sorted(observed.pods, key=lambda pod: pod.name) if not pod.ready and pod.message), None
    )
    words = f"{ready} of {_endpoint(observed).spec.replicas.min} servers of {version} and {len(ready_routers(observed))} routers are ready"
    return f"{words}; the pod {stuck.name}: {stuck.message}" if stuck else words


def _facts(decided: InferenceEndpointStatus, phase: EndpointPhase, reason: str, message: str) -> list[Fact]:
    serving = phase in (EndpointPhase.READY, EndpointPhase.PROGRESSING)
    facts = [
        Fact("Ready", serving, "Serving" if serving else reason, message),
        Fact(
            "Progressing",
            decided.rollout is not None,
            reason if decided.rollout else "NoRollout",
            message if decided.rollout else "no rollout is under way",
        ),
        Fact(
            "Suspended",
            phase == EndpointPhase.SUSPENDED,
            reason if phase == EndpointPhase.SUSPENDED else "NotSuspended",
            message,
        ),
    ]
    if decided.history:
        last = decided.history[0]
        facts.append(
            Fact("Promoted", last.verdict == Verdict.PROMOTED, str(last.verdict), f"{last.version}: {last.message}")
        )
    if phase in (EndpointPhase.WAITING, EndpointPhase.STARTING, EndpointPhase.DEGRADED):
        facts.append(Fact("Reconciling", True, reason, message))
    return facts


def _url(observed: Observed) -> str:
    endpoint = _endpoint(observed)
    if not versions_of(endpoint):
        return ""
    if not observed.settings.local:
        port = "" if endpoint.spec.port == 80 else f":{endpoint.spec.port}"
        return f"http://{endpoint.metadata.name}.{endpoint.metadata.namespace}.svc{port}/predict"
    routers = ready_routers(observed)
    return f"http://{routers[0].address}:{routers[0].ports['http']}/predict" if routers else ""


def _look_again(endpoint: InferenceEndpoint, now: datetime) -> float | None:
    rollout = endpoint.status.rollout
    if rollout is None:
        return None
    moments = [rollout.start_time + timedelta(seconds=endpoint.spec.rollout.deadline_seconds)]
    if rollout.step_time:
        moments.append(_held_until(endpoint, rollout, rollout.step_time))
    return max((min(moment for moment in moments) - now).total_seconds(), 1.0)
