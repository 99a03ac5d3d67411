"""Deployments, servers and routers of a world: what becomes ready, crashes, takes requests and forgets."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from headrace.api.run_report import ReportPhase, RunReport, VersionTraffic
from headrace.api.run_spec import Routing, ServeSpec
from headrace.plan import labels
from headrace.plan.values import Pod, Raw
from tests.simulation.truth import Quality
from tests.simulation.world import Counts, Life, World

BOUNDS_MILLISECONDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500)
LONGEST_COUNTED_SECONDS = 10.0
"""A jump of the clock brings no flood of requests."""
LOST = Quality(accuracy=0.0, error_rate=1.0, milliseconds=2.0, starts=False)

AddPod = Callable[[World, Raw, str], Pod]
DeletePod = Callable[[World, str], None]


def template_hash(deployment: Raw) -> str:
    """What tells the pods of one template from another's."""
    return hashlib.sha256(json.dumps(deployment["spec"]["template"], sort_keys=True).encode()).hexdigest()[:6]


def tick_deployments(world: World, add_pod: AddPod, delete_pod: DeletePod) -> None:
    """The Deployment controller: the wanted number of pods of the newest template, old ones going as new ones get ready."""
    for (kind, name), child in sorted(world.store.children.items()):
        if kind == "Deployment":
            _tick_deployment(world, name, child, add_pod, delete_pod)


def _tick_deployment(world: World, name: str, deployment: Raw, add_pod: AddPod, delete_pod: DeletePod) -> None:
    uid, wanted = deployment["metadata"]["uid"], deployment["spec"]["replicas"]
    prefix = f"{name}-{deployment['metadata']['templateHash']}-"
    mine = [world.store.pods[pod] for pod, controller in sorted(world.store.controllers.items()) if controller == uid]
    for pod in mine:
        if pod.terminated and not pod.deleting:
            delete_pod(world, pod.name)
    alive = [pod for pod in mine if not pod.deleting and not pod.terminated]
    new = [pod for pod in alive if pod.name.startswith(prefix)]
    old = [pod for pod in alive if not pod.name.startswith(prefix)]
    for _ in range(wanted - len(new)):
        template = deployment["spec"]["template"]
        metadata = {"name": f"{prefix}{world.pods_made}", "labels": template["metadata"]["labels"]}
        add_pod(world, {"metadata": metadata, "spec": template["spec"]}, uid)
    for pod in sorted(new, key=lambda pod: (pod.ready, pod.name))[: max(len(new) - wanted, 0)]:
        delete_pod(world, pod.name)
    ready = sum(pod.ready for pod in new)
    for pod in old[: len(old) if ready >= wanted else 0]:
        delete_pod(world, pod.name)
    status = {
        "observedGeneration": deployment["metadata"]["generation"], "replicas": len(alive), "updatedReplicas": len(new),
        "readyReplicas": sum(pod.ready for pod in alive), "availableReplicas": sum(pod.ready for pod in alive),
    }  # fmt: skip
    if deployment.get("status") != status:
        world.store.put_child({**deployment, "status": status})


def begin(world: World, pod: Pod, life: Life) -> None:
    """A server, router or probe starts; readiness comes later."""
    if pod.labels[labels.ROLE] == labels.SERVER:
        told = world.store.children[next(need for need in life.needs if need[0] == "ConfigMap")]
        life.version = ServeSpec.model_validate_json(told["data"]["run.json"]).model.name
        world.truth.served[pod.uid] = life.version
    life.ready_in = world.rng.randint(0, 2)


def run(world: World, pod: Pod, life: Life) -> None:
    """One stretch of the life of a pod that is restarted in place when it fails."""
    role = pod.labels[labels.ROLE]
    if role == labels.ROUTER and world.chance(world.faults.router_restarts):
        world.note(f"router {pod.name} restarts and forgets")
        life.routing, life.counts, life.ready_in = Routing(), {}, 1
        world.store.put_pod(replace(pod, ready=False, live=None))
    elif role == labels.SERVER and world.chance(world.faults.server_crashes):
        life.ready_in = world.rng.randint(1, 4)
        world.store.put_pod(
            replace(pod, ready=False, reason="CrashLoopBackOff", message="back-off restarting the container")
        )
    elif not pod.ready:
        life.ready_in -= 1
        if life.ready_in < 0 and can_become_ready(world, pod):
            world.store.put_pod(replace(pod, ready=True, reason="", message=""))


def can_become_ready(world: World, pod: Pod) -> bool:
    """Whether the pod gets ready some time: all but the servers of a broken version do."""
    return pod.labels[labels.ROLE] != labels.SERVER or world.truth.versions[world.lives[pod.uid].version].starts


def route_traffic(world: World, seconds: float) -> None:
    """The routers share out what users and probes send."""
    probing = any(pod.labels[labels.ROLE] == labels.PROBE and pod.ready for pod in world.store.pods.values())
    per_second = 0 if world.still else world.requests_per_second + (20 if probing else 0)
    for _, pod in sorted(world.store.pods.items()):
        if pod.labels[labels.ROLE] == labels.ROUTER and pod.ready and not pod.deleting:
            life = world.lives[pod.uid]
            _count(world, life, int(per_second * min(seconds, LONGEST_COUNTED_SECONDS)))
            report = _report(world, life)
            news = pod.live is None or (pod.live.routing, pod.live.versions) != (report.routing, report.versions)
            world.store.put_pod(replace(pod, live=report), wake=news)


def _count(world: World, life: Life, requests: int) -> None:
    if not requests:
        return
    serving = {
        f"{pod.address}:{pod.ports['http']}"
        for pod in world.store.pods.values()
        if pod.labels[labels.ROLE] == labels.SERVER and pod.ready and "http" in pod.ports
    }
    for backend in life.routing.backends:
        share = requests * backend.weight // 100
        if not backend.endpoints or not share:
            continue
        quality = world.truth.versions[backend.version] if serving.intersection(backend.endpoints) else LOST
        counts = life.counts.setdefault(backend.version, Counts())
        counts.requests += share
        counts.errors += round(share * quality.error_rate)
        counts.by_milliseconds[quality.milliseconds] = counts.by_milliseconds.get(quality.milliseconds, 0) + share


def _report(world: World, life: Life) -> RunReport:
    versions = {
        version: VersionTraffic(requests=counts.requests, errors=counts.errors, latency_milliseconds=_latency(counts))
        for version, counts in sorted(life.counts.items())
    }
    return RunReport(
        phase=ReportPhase.RUNNING, message="routes", time=world.now, routing=life.routing, versions=versions
    )


def _latency(counts: Counts) -> dict[str, int]:
    bounds: dict[str, Any] = {
        str(bound): sum(n for ms, n in counts.by_milliseconds.items() if ms <= bound) for bound in BOUNDS_MILLISECONDS
    }
    return {**bounds, "+Inf": counts.requests}
