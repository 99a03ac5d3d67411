"""The children of an endpoint: servers of each version, the router with the stable name, the probe during a rollout.

The traffic is moved by telling the router; a version's servers go only after no router names it any more.
"""

from headrace.api import environment
from headrace.api.artifacts import ModelVersion
from headrace.api.meta import Kind
from headrace.api.objects import InferenceEndpoint, TrainJob, TuneJob
from headrace.api.run_report import VersionTraffic
from headrace.api.run_spec import Backend, ProbeSpec, RouterSpec, Routing, ServeSpec
from headrace.plan import labels, manifests
from headrace.plan.dependents import dataset_of, writes_text
from headrace.plan.isolation import network_policy, open_to_users
from headrace.plan.manifests import Container, Owner
from headrace.plan.names import child_name, version_place
from headrace.plan.values import Action, Apply, Create, Delete, Observed, Pod, Push, Raw

MODULE = "headrace_workers.serve"


def versions_of(endpoint: InferenceEndpoint) -> list[ModelVersion]:
    """The versions that should have servers: the stable one and the candidate."""
    status = endpoint.status
    if endpoint.spec.suspend:
        return []
    return [
        version
        for version in (status.stable, status.rollout.candidate if status.rollout else None)
        if version is not None
    ]


def ready_servers(observed: Observed, version: str) -> list[Pod]:
    """The ready servers of a version, by name."""
    servers = (
        pod
        for pod in observed.pods
        if pod.labels.get(labels.ROLE) == labels.SERVER and pod.labels.get(labels.VERSION) == version_place(version)
    )
    return sorted((pod for pod in servers if pod.ready and not pod.deleting), key=lambda pod: pod.name)


def ready_routers(observed: Observed) -> list[Pod]:
    """The ready routers, by name."""
    routers = (pod for pod in observed.pods if pod.labels.get(labels.ROLE) == labels.ROUTER)
    return sorted((pod for pod in routers if pod.ready and not pod.deleting), key=lambda pod: pod.name)


def leaving_pods(observed: Observed) -> list[str]:
    """The names of servers whose version should have none any more, and of probes without a rollout."""
    endpoint = observed.object
    assert isinstance(endpoint, InferenceEndpoint)
    places = {version_place(version.name) for version in versions_of(endpoint)}
    probing = endpoint.status.rollout is not None
    return [
        pod.name
        for pod in sorted(observed.pods, key=lambda pod: pod.name)
        if (pod.labels.get(labels.ROLE) == labels.SERVER and pod.labels.get(labels.VERSION) not in places)
        or (pod.labels.get(labels.ROLE) == labels.PROBE and not probing)
    ]


def weight_of(endpoint: InferenceEndpoint, version: str) -> int:
    """The share of the traffic, in percent, that the saved status gives to a version."""
    rollout, stable = endpoint.status.rollout, endpoint.status.stable
    candidate_weight = rollout.weight if rollout else 0
    if rollout and rollout.candidate.name == version:
        return candidate_weight
    return 100 - candidate_weight if stable and stable.name == version else 0


def routing(observed: Observed) -> Routing:
    """The table that every router should have."""
    endpoint = observed.object
    assert isinstance(endpoint, InferenceEndpoint)
    backends = []
    for version in versions_of(endpoint):
        addresses = tuple(
            f"{pod.address}:{pod.ports['http']}"
            for pod in ready_servers(observed, version.name)
            if pod.address and "http" in pod.ports
        )
        backends.append(Backend(version=version.name, weight=weight_of(endpoint, version.name), endpoints=addresses))
    return Routing(backends=tuple(backends))


def seen_traffic(observed: Observed, version: str) -> VersionTraffic:
    """What all routers together counted for a version."""
    counts = [
        pod.live.versions[version] for pod in ready_routers(observed) if pod.live and version in pod.live.versions
    ]
    bounds = sorted({bound for count in counts for bound in count.latency_milliseconds})
    return VersionTraffic(
        requests=sum(count.requests for count in counts),
        errors=sum(count.errors for count in counts),
        latency_milliseconds={
            bound: sum(count.latency_milliseconds.get(bound, 0) for count in counts) for bound in bounds
        },
    )


def routers_agree(observed: Observed) -> bool:
    """Whether every ready router, and at least one, has the table that the saved status asks for."""
    routers = ready_routers(observed)
    wanted = routing(observed)
    return bool(routers) and all(pod.live is not None and pod.live.routing == wanted for pod in routers)


def converge_endpoint(observed: Observed) -> tuple[Action, ...]:
    """The actions that bring the children to the saved status."""
    endpoint = observed.object
    assert isinstance(endpoint, InferenceEndpoint)
    wanted = _wanted(observed)
    actions: list[Action] = []
    for manifest in wanted:
        seen = observed.child(manifest["kind"], manifest["metadata"]["name"])
        if manifest["kind"] == "Secret":
            if seen is None:
                actions.append(Create(manifest, generate=(manifests.TOKEN_KEY,)))
        elif not manifests.is_applied(manifest, seen):
            actions.append(Apply(manifest))
    table = routing(observed)
    actions += [
        Push(pod.name, "/backends", table.wire())
        for pod in ready_routers(observed)
        if versions_of(endpoint) and (pod.live is None or pod.live.routing != table)
    ]
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    surplus = [
        child
        for child in observed.children
        if (child["kind"], child["metadata"]["name"]) not in names
        and not child["metadata"].get("deletionTimestamp")
        and not _still_routed(observed, child)
    ]
    ordered = sorted(surplus, key=lambda child: (child["kind"], child["metadata"]["name"]))
    return (
        *actions,
        *(Delete(child["kind"], child["metadata"]["name"], child["metadata"]["uid"]) for child in ordered),
    )


def _still_routed(observed: Observed, child: Raw) -> bool:
    """Whether a router may still send requests to a version's servers."""
    endpoint = observed.object
    assert isinstance(endpoint, InferenceEndpoint)
    place = child["metadata"].get("labels", {}).get(labels.VERSION)
    if place is None or endpoint.spec.suspend:
        return False
    for pod in ready_routers(observed):
        if pod.live is None or pod.live.routing is None:
            return True
        if any(version_place(backend.version) == place for backend in pod.live.routing.backends):
            return True
    return False


def _wanted(observed: Observed) -> list[Raw]:
    endpoint = observed.object
    assert isinstance(endpoint, InferenceEndpoint)
    if endpoint.spec.suspend or not versions_of(endpoint):
        return []
    owner = Owner(Kind.INFERENCE_ENDPOINT, endpoint.metadata, endpoint.spec.pods, endpoint.spec.pod_template)
    secret = manifests.token_secret(owner, child_name(endpoint.metadata, "token"), owner.labels(labels.ROUTER))
    wanted = [secret, *_policies(owner, endpoint, observed), *_router(owner, endpoint, observed)]
    for version in versions_of(endpoint):
        wanted += _servers(owner, endpoint, version, observed)
    if endpoint.status.rollout and endpoint.spec.rollout.probe:
        wanted += _probe(owner, endpoint, observed)
    return wanted


def _policies(owner: Owner, endpoint: InferenceEndpoint, observed: Observed) -> list[Raw]:
    if observed.settings.local or not observed.settings.isolate:
        return []
    own = owner.labels(labels.ROUTER)
    return [
        manifests.with_hash(network_policy(owner, child_name(endpoint.metadata, "pods"), own, observed.settings)),
        manifests.with_hash(open_to_users(owner, child_name(endpoint.metadata, "users"), own)),
    ]


def _router(owner: Owner, endpoint: InferenceEndpoint, observed: Observed) -> list[Raw]:
    name, own = child_name(endpoint.metadata, "router"), owner.labels(labels.ROUTER)
    container = Container(
        MODULE, ("router",), manifests.ROUTER_RESOURCES, {"http": manifests.HTTP_PORT, "report": manifests.REPORT_PORT},
        config_map=name, secret=child_name(endpoint.metadata, "token"), stores=False, ready_path="/readyz", ready_port="report",
    )  # fmt: skip
    annotations = {labels.LOCAL_PORT: str(endpoint.spec.local_port)} if endpoint.spec.local_port else None
    service = manifests.service(owner, endpoint.metadata.name, own, own, {"http": (endpoint.spec.port, "http")})
    return [
        manifests.with_hash(manifests.config_map(owner, name, own, RouterSpec(endpoint=endpoint.metadata.name))),
        manifests.deployment(owner, name, own, container, observed.settings, 1, annotations),
        manifests.with_hash(service),
    ]


def _servers(owner: Owner, endpoint: InferenceEndpoint, version: ModelVersion, observed: Observed) -> list[Raw]:
    place = version_place(version.name)
    name, own = child_name(endpoint.metadata, place), owner.labels(labels.SERVER, **{labels.VERSION: place})
    container = Container(
        MODULE, ("server",), endpoint.spec.resources, {"http": manifests.HTTP_PORT},
        config_map=name, secret=child_name(endpoint.metadata, "token"), ready_path="/readyz",
    )  # fmt: skip
    return [
        manifests.with_hash(
            manifests.config_map(owner, name, own, ServeSpec(endpoint=endpoint.metadata.name, model=version))
        ),
        manifests.deployment(owner, name, own, container, observed.settings, endpoint.spec.replicas.min),
    ]


def _probe(owner: Owner, endpoint: InferenceEndpoint, observed: Observed) -> list[Raw]:
    rollout, probe = endpoint.status.rollout, endpoint.spec.rollout.probe
    assert rollout is not None and probe is not None
    name, own = child_name(endpoint.metadata, "probe"), owner.labels(labels.PROBE)
    container = Container(
        MODULE, ("probe",), manifests.PROBE_RESOURCES, {"report": manifests.REPORT_PORT},
        config_map=name, secret=child_name(endpoint.metadata, "token"),
        variables={environment.ROUTER_ADDRESS: f"{endpoint.metadata.name}:{endpoint.spec.port}"},
    )  # fmt: skip
    spec = ProbeSpec(
        endpoint=endpoint.metadata.name,
        dataset=rollout.candidate.dataset,
        target=_target(observed, rollout.candidate),
        probe=probe,
    )
    return [
        manifests.with_hash(manifests.config_map(owner, name, own, spec)),
        manifests.deployment(owner, name, own, container, observed.settings, 1),
    ]


def _target(observed: Observed, candidate: ModelVersion) -> str:
    """The column that the candidate was taught to predict; none where it writes what comes next."""
    for job in observed.related.values():
        if isinstance(job, TrainJob | TuneJob) and job.status.model == candidate:
            return "" if writes_text(job) else dataset_of(job).target
    return "label"
