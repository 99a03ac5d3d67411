"""The scheduler, the kubelet and the garbage collector of a world: pods start, run, end, are taken away and leave."""

from dataclasses import replace
from typing import Any

from headrace.plan import labels
from headrace.plan.values import Pod, PodPhase, Raw
from tests.simulation import heads, serving
from tests.simulation.pods import end, remove
from tests.simulation.store import owner_uid
from tests.simulation.world import Life, World

STICKY_TICKS = 25
SIGTERM = 143


def add_pod(world: World, manifest: Raw, controller: str) -> Pod:
    """A new pod, Pending."""
    metadata = manifest["metadata"]
    main = manifest["spec"]["containers"][0]
    world.pods_made += 1
    pod = Pod(
        name=metadata["name"],
        uid=world.store.new_uid(),
        phase=PodPhase.PENDING,
        labels=metadata["labels"],
        address=f"10.0.{world.pods_made // 250}.{world.pods_made % 250}",
        ports={port["name"]: port["containerPort"] for port in main["ports"]},
    )
    waits = world.rng.randint(3, 10) if world.chance(world.faults.unschedulable) else world.rng.randint(0, 1)
    if waits > 2:
        pod = replace(pod, reason="Unschedulable", message="0/2 nodes are available: insufficient nvidia.com/gpu")
    world.lives[pod.uid] = Life(starts_in=waits, needs=_needs(manifest["spec"]))
    world.store.controllers[pod.name] = controller
    world.store.put_pod(pod)
    return pod


def _needs(spec: Raw) -> tuple[tuple[str, str], ...]:
    needs: list[tuple[str, str]] = [
        ("ConfigMap", volume["configMap"]["name"]) for volume in spec["volumes"] if "configMap" in volume
    ]
    for variable in spec["containers"][0]["env"]:
        secret: Any = variable.get("valueFrom", {}).get("secretKeyRef")
        if secret:
            needs.append(("Secret", secret["name"]))
    return tuple(needs)


def delete_pod(world: World, name: str, grace_seconds: int | None = None) -> None:
    """A deletion request; the pod stays until its processes have ended, which may take long."""
    pod = world.store.pods[name]
    if grace_seconds == 0:
        remove(world, pod)
    elif not pod.deleting:
        world.lives[pod.uid].leaves_in = (
            world.rng.randint(5, STICKY_TICKS) if world.chance(world.faults.sticky) else world.rng.randint(0, 2)
        )
        world.store.mark_deleting(name)


def tick(world: World, seconds: float) -> bool:
    """Lets everything in the cluster live on for a while; says whether more is to come by itself."""
    news = len(world.store.woken)
    _collect_garbage(world)
    serving.tick_deployments(world, add_pod, delete_pod)
    for name in sorted(world.store.pods):
        if pod := world.store.pods.get(name):
            _live(world, pod)
    serving.route_traffic(world, seconds)
    changed = len(world.store.woken) > news
    if changed:
        world.store.commit()
    return changed or any(_is_under_way(world, pod) for pod in world.store.pods.values())


def _is_under_way(world: World, pod: Pod) -> bool:
    if pod.terminated and not pod.deleting:
        return False
    if pod.deleting or pod.phase == PodPhase.PENDING or pod.labels[labels.ROLE] == labels.HEAD:
        return True
    return not pod.ready and serving.can_become_ready(world, pod)


def _live(world: World, pod: Pod) -> None:
    life = world.lives[pod.uid]
    if pod.deleting:
        _go(world, pod, life)
    elif pod.phase == PodPhase.PENDING:
        _start(world, pod, life)
    elif pod.phase == PodPhase.RUNNING:
        if world.chance(world.faults.pod_lost):
            world.note(f"pod {pod.name} vanishes")
            remove(world, pod)
        elif world.chance(world.faults.pod_evicted):
            end(
                world,
                pod,
                PodPhase.FAILED,
                reason="Evicted",
                message="the node was drained",
                exit_code=SIGTERM,
                disrupted=True,
            )
        else:
            _run(world, pod, life)


def _go(world: World, pod: Pod, life: Life) -> None:
    life.leaves_in -= 1
    if life.leaves_in >= 0:
        return
    if pod.labels[labels.ROLE] == labels.HEAD and pod.phase == PodPhase.RUNNING:
        heads.stop(world, pod, life)
        return
    remove(world, pod)


def _start(world: World, pod: Pod, life: Life) -> None:
    life.starts_in = min(life.starts_in, 1) if world.calm else life.starts_in
    life.starts_in -= 1
    if life.starts_in >= 0:
        return
    missing = [name for name in life.needs if name not in world.store.children]
    if missing:
        if pod.reason != "CreateContainerConfigError":
            world.store.put_pod(
                replace(pod, reason="CreateContainerConfigError", message=f"{missing[0][0]} {missing[0][1]} not found")
            )
        return
    running = replace(
        pod, phase=PodPhase.RUNNING, ready=pod.labels[labels.ROLE] == labels.WORKER, reason="", message=""
    )
    world.store.put_pod(running)
    if pod.labels[labels.ROLE] == labels.HEAD:
        heads.begin(world, running, life)
    else:
        serving.begin(world, running, life)


def _run(world: World, pod: Pod, life: Life) -> None:
    match pod.labels[labels.ROLE]:
        case labels.HEAD:
            heads.run(world, pod, life)
        case labels.WORKER:
            if world.chance(world.faults.pod_fails) or not heads.has_head(world, pod):
                end(
                    world,
                    pod,
                    PodPhase.FAILED,
                    reason="Error",
                    message="lost its head" if not heads.has_head(world, pod) else "killed",
                    exit_code=1,
                )
        case _:
            serving.run(world, pod, life)


def _collect_garbage(world: World) -> None:
    store = world.store
    if world.chance(world.faults.slow_collection):
        return
    living = store.living_uids()
    for (kind, name), child in sorted(store.children.items()):
        if (owner := owner_uid(child)) and owner not in living:
            store.remove_child(kind, name)
    for name, controller in sorted(store.controllers.items()):
        if controller and controller not in living:
            delete_pod(world, name)
