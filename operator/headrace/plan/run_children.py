"""The children of a run: which there should be at the saved decision, and which must go first.

Pods of another attempt are gone before those of this one are made, so that two attempts never run at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count, islice

from headrace.api import environment
from headrace.api.crds import PLURALS
from headrace.api.objects import RunObject
from headrace.api.run_spec import RunIdentity, RunSpec
from headrace.api.status import FINISHED, Phase
from headrace.plan import gang, labels, manifests
from headrace.plan.isolation import network_policy
from headrace.plan.manifests import Container, Owner
from headrace.plan.names import attempt_name, child_name, worker_place
from headrace.plan.recurrence import recurs
from headrace.plan.run_kind import RunKind
from headrace.plan.values import Action, Create, Delete, DeleteSelf, Observed, Pod, PodPhase, Raw

WORKER_MODULE = "headrace_workers.ray_worker"
TOKEN_PLACE = "token"  # noqa: S105


def converge(kind: RunKind, observed: Observed, now: datetime) -> tuple[Action, ...]:
    """The actions that bring the children to the saved status."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    status = resource.status
    if status.phase in FINISHED and _outlived(resource, now):
        return (DeleteSelf(resource.metadata.uid),)
    if status.phase == Phase.COMPLETE:
        return _delete_pods(pod for pod in observed.pods if not pod.terminated)
    if status.phase in (Phase.FAILED, Phase.SUSPENDING, Phase.SUSPENDED):
        return _stop(observed)
    stale = [pod for pod in observed.pods if not _is_current(pod.labels, resource)]
    if stale:
        return _delete_pods(stale)
    if status.attempt_time is None:
        return _stop(observed)
    return _delete_stale_children(observed) + _make(kind, observed)


def _outlived(resource: RunObject, now: datetime) -> bool:
    if recurs(resource):
        return False
    seconds, finished = resource.spec.ttl_seconds_after_finished, resource.status.completion_time
    return seconds is not None and finished is not None and now >= finished + timedelta(seconds=seconds)


def _is_current(child_labels: Mapping[str, str], resource: RunObject) -> bool:
    return child_labels.get(labels.RUN) == str(resource.status.run) and child_labels.get(labels.ATTEMPT) == str(
        resource.status.attempt
    )


def _delete_pods(pods: Iterable[Pod]) -> tuple[Action, ...]:
    return tuple(Delete("Pod", pod.name, pod.uid) for pod in sorted(pods, key=lambda pod: pod.name) if not pod.deleting)


def _stop(observed: Observed) -> tuple[Action, ...]:
    """The head first: it has the workers checkpoint before it goes."""
    live = [pod for pod in observed.pods if not pod.terminated]
    heads = [pod for pod in live if pod.labels.get(labels.ROLE) == labels.HEAD]
    return _delete_pods(heads or live)


def _delete_stale_children(observed: Observed) -> tuple[Action, ...]:
    resource = observed.object
    assert isinstance(resource, RunObject)
    stale = (
        child
        for child in observed.children
        if labels.ATTEMPT in child["metadata"].get("labels", {})
        and not _is_current(child["metadata"]["labels"], resource)
    )
    return tuple(
        Delete(child["kind"], child["metadata"]["name"], child["metadata"]["uid"])
        for child in sorted(stale, key=lambda child: (child["kind"], child["metadata"]["name"]))
        if not child["metadata"].get("deletionTimestamp")
    )


def _make(kind: RunKind, observed: Observed) -> tuple[Action, ...]:
    resource = observed.object
    assert isinstance(resource, RunObject)
    owner = Owner(resource.key.kind, resource.metadata, resource.spec.pods, resource.spec.pod_template)
    wanted = _pod_names(kind, observed)
    seen = {pod.name: pod for pod in observed.pods}
    # An attempt whose head is leaving is over: what else is gone of it comes with the next one.
    over = any(pod.deleting and pod.labels.get(labels.ROLE) == labels.HEAD for pod in observed.pods)
    missing = {} if over else {name: index for name, index in wanted.items() if name not in seen}
    actions: list[Action] = [
        Create(make(), generate=(manifests.TOKEN_KEY,) if child_kind == "Secret" else ())
        for (child_kind, name), make in _wanted_others(kind, owner, observed).items()
        if observed.child(child_kind, name) is None
    ]
    if missing:
        actions += [Create(manifest) for manifest in _pods(kind, owner, observed, missing)]
    surplus = [pod for name, pod in seen.items() if name not in wanted or _is_counted_lost(pod, resource)]
    return (*actions, *_delete_pods(surplus))


def _pod_names(kind: RunKind, observed: Observed) -> dict[str, int | None]:
    """The names of the pods that there should be, with the workers' numbers; the head has none."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    indices = chosen_workers(kind.workers(resource).wanted, observed.pods)
    return {_place(resource, "head"): None, **{_place(resource, worker_place(index)): index for index in indices}}


def chosen_workers(wanted: int, pods: Iterable[Pod]) -> list[int]:
    """The numbers of the workers that there should be: first those that run, then those that wait, then the lowest free."""
    workers = [pod for pod in pods if pod.labels.get(labels.ROLE) == labels.WORKER and not pod.deleting]
    workers.sort(
        key=lambda pod: (pod.terminated, pod.phase != PodPhase.RUNNING, not pod.bound, int(pod.labels[labels.INDEX]))
    )
    kept = [int(pod.labels[labels.INDEX]) for pod in workers[:wanted]]
    free = (index for index in count() if index not in kept)
    return sorted([*kept, *islice(free, wanted - len(kept))])


def _is_counted_lost(pod: Pod, resource: RunObject) -> bool:
    return pod.terminated and pod.uid in resource.status.lost_pods


def _attempt_labels(owner: Owner, resource: RunObject, role: str, **more: str) -> dict[str, str]:
    return owner.labels(
        role, **{labels.RUN: str(resource.status.run), labels.ATTEMPT: str(resource.status.attempt)}, **more
    )


def _place(resource: RunObject, place: str) -> str:
    return attempt_name(resource.metadata, resource.status.run, resource.status.attempt, place)


def _wanted_others(kind: RunKind, owner: Owner, observed: Observed) -> Mapping[tuple[str, str], Callable[[], Raw]]:
    """What there should be besides pods, by kind and name; only what is missing is really built."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    head_labels = _attempt_labels(owner, resource, labels.HEAD)
    own, heads = owner.labels(labels.HEAD), {labels.UID: resource.metadata.uid, labels.ROLE: labels.HEAD}
    spec_name = _place(resource, "run")
    token, head, pods = (child_name(resource.metadata, place) for place in (TOKEN_PLACE, "head", "pods"))
    wanted: dict[tuple[str, str], Callable[[], Raw]] = {
        ("ConfigMap", spec_name): lambda: manifests.config_map(
            owner, spec_name, head_labels, _run_spec(kind, owner, observed)
        ),
        ("Secret", token): lambda: manifests.token_secret(owner, token, own),
    }
    runs = resource.status.phase != Phase.PENDING
    if observed.settings.local:
        wanted |= _local_name(owner, resource, head_labels)
    # What keeps a run's head from eviction and its pods apart from others' is of no use in local mode.
    else:
        # Before its head runs nobody is reached.
        if runs:
            wanted |= _name(owner, observed, head_labels)
        if observed.settings.isolate:
            wanted["NetworkPolicy", pods] = lambda: network_policy(owner, pods, own, observed.settings)
        # Nor is there anything to keep: a budget has Kubernetes look at it for every pod that starts.
        if runs:
            wanted["PodDisruptionBudget", head] = lambda: manifests.disruption_budget(owner, head, own, heads)
        if group := resource.spec.gang:
            workers = kind.workers(resource)
            wanted[gang.KIND, gang.group_name(resource)] = lambda: gang.pod_group(
                owner, resource, group, workers, head_labels
            )
    return wanted


def _name(
    owner: Owner, observed: Observed, head_labels: Mapping[str, str]
) -> Mapping[tuple[str, str], Callable[[], Raw]]:
    """The name by which workers reach the head, and the head's address.

    The address is written once, here: for a Service that selects pods Kubernetes' controllers write twice, at each step
    of its pod, which took a sixth of all that the cluster did for a run.
    """
    resource = observed.object
    assert isinstance(resource, RunObject)
    name, ports = _place(resource, "ray"), {"ray": manifests.RAY_PORT, "report": manifests.REPORT_PORT}
    wanted: dict[tuple[str, str], Callable[[], Raw]] = {
        ("Service", name): lambda: manifests.name_of_addresses(owner, name, head_labels, ports)
    }
    address = next((pod.address for pod in observed.pods if pod.labels.get(labels.ROLE) == labels.HEAD), "")
    if address:
        wanted["EndpointSlice", name] = lambda: manifests.addresses(owner, name, head_labels, address, ports)
    return wanted


def _local_name(
    owner: Owner, resource: RunObject, head_labels: Mapping[str, str]
) -> Mapping[tuple[str, str], Callable[[], Raw]]:
    """The name by which workers reach the head on one machine, where pods have ports and no addresses."""
    name = _place(resource, "ray")
    selector = {key: head_labels[key] for key in (labels.UID, labels.RUN, labels.ATTEMPT, labels.ROLE)}
    ports = {"ray": (manifests.RAY_PORT, "ray"), "report": (manifests.REPORT_PORT, "report")}
    return {("Service", name): lambda: manifests.service(owner, name, head_labels, selector, ports)}


def _run_spec(kind: RunKind, owner: Owner, observed: Observed) -> RunSpec:
    resource = observed.object
    assert isinstance(resource, RunObject)
    status, workers = resource.status, kind.workers(resource)
    identity = RunIdentity(
        kind=owner.kind, namespace=resource.metadata.namespace, name=resource.metadata.name, uid=resource.metadata.uid,
        run=status.run, attempt=status.attempt, digest=status.digest,
    )  # fmt: skip
    return RunSpec(
        identity=identity, storage=status.storage, publish=kind.publish(observed), min_workers=workers.min,
        max_workers=workers.max, dataset=status.input, **kind.payload(resource),
    )  # fmt: skip


def _together(kind: RunKind, resource: RunObject) -> dict[str, str]:
    """The annotations by which local mode places the head and workers.min together."""
    return {
        labels.GANG: _place(resource, PLURALS[resource.key.kind]),
        labels.GANG_MINIMUM: str(gang.members(kind.workers(resource))),
    }


def _pods(kind: RunKind, owner: Owner, observed: Observed, wanted: Mapping[str, int | None]) -> Iterator[Raw]:
    """The manifests of the pods of these names and numbers."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    together = _together(kind, resource) if observed.settings.local else {}
    group, secret = resource.spec.gang, child_name(resource.metadata, TOKEN_PLACE)
    head = Container(
        kind.module, resources=manifests.HEAD_RESOURCES, ports={"report": manifests.REPORT_PORT, "ray": manifests.RAY_PORT},
        config_map=_place(resource, "run"), secret=secret, variables=kind.variables,
        secrets=kind.head_secrets(resource.spec),
    )  # fmt: skip
    worker = Container(
        WORKER_MODULE, resources=kind.workers(resource).resources, secret=secret,
        secrets=kind.worker_secrets(resource.spec),
        variables={
            **kind.variables, environment.HEAD_ADDRESS: f"{_place(resource, 'ray')}:{manifests.RAY_PORT}",
            environment.HEAD_REPORT_ADDRESS: f"{_place(resource, 'ray')}:{manifests.REPORT_PORT}",
        },
    )  # fmt: skip
    for name, index in wanted.items():
        own = (
            _attempt_labels(owner, resource, labels.HEAD)
            if index is None
            else _attempt_labels(owner, resource, labels.WORKER, **{labels.INDEX: str(index)})
        )
        pod = manifests.pod(owner, name, own, head if index is None else worker, observed.settings, together)
        yield gang.joined(pod, resource, group) if group and not observed.settings.local else pod
