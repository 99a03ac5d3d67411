"""Every state that the planner can bring an object into, as the API server would show it, and the health that goes with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from headrace.api.edits import spec_digest
from headrace.api.objects import DataPipeline, HeadraceObject, InferenceEndpoint, RunObject, TuneJob
from headrace.api.run_report import ReportPhase
from headrace.api.run_spec import Routing
from headrace.api.status import EndpointPhase, InferenceEndpointStatus, Phase, RolloutStatus
from headrace.plan import labels
from headrace.plan.endpoint_children import routing
from headrace.plan.names import version_place
from headrace.plan.plan import plan
from headrace.plan.values import Observed, Pod, PodPhase
from tests.gen import NOW, dataset, endpoint, model, pipeline, pod, report, train_job, tune_job

OLD, NEW = model("old", 0.90), model("new", 0.95, created=NOW + timedelta(hours=1))
RUN_BUILDERS: dict[str, Callable[..., RunObject]] = {
    "pipeline": lambda **spec: pipeline("run", **spec),
    "train": lambda **spec: train_job("run", **spec),
    "tune": lambda **spec: tune_job("run", **spec),
}


@dataclass(frozen=True)
class State:
    """An object as it is read from the cluster, and how healthy it is."""

    name: str
    raw: dict[str, Any]
    health: str
    words: str = ""
    """A part of the message."""


def raw(resource: HeadraceObject) -> dict[str, Any]:
    """The part of the object that health depends on, as JSON."""
    shown = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": resource.metadata.wire()}
    status = resource.status.wire()
    return shown | ({"status": status} if resource.status.observed_generation else {})


def planned(observed: Observed, passes: int = 1) -> HeadraceObject:
    """The object with the status that so many passes leave, each on what the one before saved."""
    resource = observed.object
    for _ in range(passes):
        seen = Observed(resource, observed.pods, observed.children, observed.related, observed.settings)
        resource = resource.model_copy(update={"status": plan(seen, NOW).status})
    return resource


def altered(resource: Any, **metadata: Any) -> Any:
    """The object with other metadata."""
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update=metadata)})


def with_status(resource: Any, **status: Any) -> Any:
    """The object in its first run, with the status that is named."""
    base = {"run": 1, "attempt": 1, "digest": spec_digest(resource.spec), "phase": Phase.RUNNING, "attempt_time": NOW,
            "start_time": NOW, "input": dataset()}  # fmt: skip
    return resource.model_copy(update={"status": resource.status.model_copy(update=base | status)})


def seen(resource: HeadraceObject, *pods: Pod, source: DataPipeline | None = None) -> Observed:
    """What is seen of a run beside its pipeline, which is finished unless another is given."""
    done = source or with_status(pipeline(), phase=Phase.COMPLETE, dataset=dataset())
    return Observed(resource, pods, related={done.key: done})


def run_states(build: Callable[..., RunObject]) -> Iterator[State]:
    """The states of a run."""
    fresh = build()
    result = {"dataset": dataset()} if isinstance(fresh, DataPipeline) else {"model": model()}
    running = with_status(fresh)
    alive = (pod(labels.HEAD, live=report()), pod(), pod(index=1))
    crashed = pod(labels.HEAD, phase=PodPhase.FAILED, exit_code=1)
    finished = pod(labels.HEAD, phase=PodPhase.SUCCEEDED, exit_code=0, final=report(ReportPhase.COMPLETE, **result))
    complete = planned(seen(running, finished), passes=2)
    hopeless = report(ReportPhase.FAILED, reason="EmptyDataset", message="there are no records", retryable=False)
    failed = pod(labels.HEAD, phase=PodPhase.FAILED, exit_code=1, final=hopeless)
    held = build(suspend=True)
    late = with_status(build(activeDeadlineSeconds=10), active_seconds=11.0)
    stuck = pod(phase=PodPhase.PENDING, reason="Unschedulable", message="asks for 8 CPUs")
    pending = with_status(fresh, phase=Phase.PENDING)
    edited = build(activeDeadlineSeconds=9000).model_copy(update={"status": complete.status})

    yield State("not seen yet", raw(fresh), "Progressing", "generation 1")
    yield State("first pass", raw(planned(seen(fresh))), "Progressing")
    yield State("started", raw(planned(seen(fresh), passes=3)), "Progressing", "starts its pods")
    yield State(
        "no room",
        raw(planned(seen(pending, pod(labels.HEAD, phase=PodPhase.PENDING), stuck))),
        "Progressing",
        "asks for 8 CPUs",
    )
    yield State("starting", raw(planned(seen(pending, pod(labels.HEAD)))), "Progressing", "starts")
    yield State("running", raw(planned(seen(running, *alive))), "Progressing", "runs on at least")
    yield State(
        "lost a worker", raw(planned(seen(running, alive[0], pod(phase=PodPhase.FAILED, exit_code=137)))), "Progressing"
    )
    yield State("backing off", raw(planned(seen(running, crashed), passes=3)), "Progressing", "attempt 2 starts in")
    yield State("suspending", raw(planned(seen(with_status(held), *alive))), "Progressing", "checkpoints and stops")
    yield State("suspended", raw(planned(seen(with_status(held)), passes=2)), "Suspended", "spec.suspend")
    yield State("suspended from the start", raw(planned(seen(held), passes=2)), "Suspended", "spec.suspend")
    yield State("complete", raw(complete), "Healthy", "run 1 is complete")
    yield State("failed", raw(planned(seen(running, failed))), "Degraded", "there are no records")
    yield State("too slow", raw(planned(seen(late, *alive))), "Degraded", "activeDeadlineSeconds, 10 s")
    yield State("edit not seen", raw(altered(edited, generation=2)), "Progressing", "generation 2")
    yield State("edit in place", raw(planned(seen(altered(edited, generation=2)))), "Healthy", "run 1 is complete")
    yield State("being deleted", raw(altered(complete, deletion_timestamp=NOW)), "Progressing", "being deleted")
    if isinstance(fresh, DataPipeline):
        kafka = {"kafka": {"brokers": ["kafka:9092"], "topics": ["events"]}}
        endless = with_status(build(mode="Stream", source=kafka))
        yield State("streams", raw(planned(seen(endless, *alive))), "Healthy", "runs on at least")
        yield State("streams without a worker", raw(planned(seen(endless, alive[0]))), "Progressing", "being replaced")
    else:
        yield from waiting_states(build, complete)


def waiting_states(build: Callable[..., RunObject], complete: HeadraceObject) -> Iterator[State]:
    """The states of a job that has to do with its dataset, and of one that runs again."""
    broken = with_status(pipeline(), phase=Phase.FAILED)
    busy = with_status(pipeline())
    changed = {"template": {"dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 2}}
    again = build(**(changed if isinstance(complete, TuneJob) else {"epochs": 2}))
    again = altered(again.model_copy(update={"status": complete.status}), generation=2)

    yield State("no dataset", raw(planned(Observed(build()), passes=2)), "Degraded", "does not exist")
    yield State("dataset failed", raw(planned(seen(build(), source=broken), passes=2)), "Degraded", "repair it")
    yield State("dataset not ready", raw(planned(seen(build(), source=busy), passes=2)), "Progressing", "to finish")
    yield State("runs again", raw(planned(seen(again))), "Progressing")


def server(version: str, ready: bool = True) -> Pod:
    """A server of a version."""
    own = {labels.ROLE: labels.SERVER, labels.VERSION: version_place(version)}
    return Pod(f"server-{version}", f"uid-{version}", PodPhase.RUNNING, own, ready, address="10.0.0.1", ports={"http": 8000})  # fmt: skip


def router(table: Routing) -> Pod:
    """A router with a table."""
    live = report(routing=table)
    return Pod("router", "uid-router", PodPhase.RUNNING, {labels.ROLE: labels.ROUTER}, True, live=live,
               address="10.0.0.2", ports={"http": 8000})  # fmt: skip


def endpoint_states() -> Iterator[State]:
    """The states of an endpoint."""
    job = train_job("job", rollout={"endpoint": "digits"})
    job = job.model_copy(update={"status": job.status.model_copy(update={"model": OLD})})

    def at(status: InferenceEndpointStatus | None, *pods: Pod, **spec: Any) -> Observed:
        resource = endpoint(**spec)
        resource = resource.model_copy(update={"status": status}) if status else resource
        return Observed(resource, pods, related={job.key: job})

    def routed(status: InferenceEndpointStatus, *servers: Pod) -> Observed:
        return at(status, *servers, router(routing(at(status, *servers))))

    stable = InferenceEndpointStatus(stable=OLD)
    candidate = InferenceEndpointStatus(stable=OLD, rollout=RolloutStatus(candidate=NEW, start_time=NOW, step=0, weight=20))  # fmt: skip
    ready = planned(routed(stable, server("old")))
    assert isinstance(ready, InferenceEndpoint)

    yield State("not seen yet", raw(endpoint()), "Progressing", "generation 1")
    yield State("no model", raw(planned(Observed(endpoint()))), "Progressing", "waits for a model")
    yield State("first version", raw(planned(at(None))), "Progressing", "servers of old")
    yield State("serving", raw(ready), "Healthy", "old serves")
    yield State("rollout", raw(planned(routed(candidate, server("old"), server("new")))), "Healthy", "new has 20 %")
    yield State("old servers leave", raw(planned(routed(stable, server("old"), server("gone")))), "Healthy", "leaving")
    yield State(
        "servers lost", raw(planned(at(ready.status, server("old", ready=False)))), "Degraded", "0 of 1 servers"
    )
    yield State("suspended", raw(planned(at(ready.status, suspend=True))), "Suspended", "spec.suspend")
    yield State("edit not seen", raw(altered(ready, generation=2)), "Progressing", "generation 2")
    yield State("being deleted", raw(altered(ready, deletion_timestamp=NOW)), "Progressing", "being deleted")


def all_states() -> dict[str, State]:
    """Every state of every kind, by kind and name."""
    found = {f"{kind}: {state.name}": state for kind, build in RUN_BUILDERS.items() for state in run_states(build)}
    return found | {f"endpoint: {state.name}": state for state in endpoint_states()}


STATES = all_states()
PHASES: dict[str, set[Phase] | set[EndpointPhase]] = {
    "DataPipeline": set(Phase),
    "TrainJob": set(Phase),
    "TuneJob": set(Phase),
    "InferenceEndpoint": set(EndpointPhase),
}
