"""What must hold in every world, whatever its kinds: read from statuses and pods alone, against what really happened.

A checker states one law and raises Violation. None knows how the planner decides.
"""

from collections.abc import Callable
from typing import Any

from headrace.api.meta import Condition
from headrace.api.objects import HeadraceObject
from headrace.api.run_spec import Routing
from headrace.api.status import FINISHED, EndpointPhase, Phase, RunStatus, Verdict
from headrace.plan import labels
from headrace.plan.dependents import learns_from, starts_from
from headrace.plan.values import Observed, Pod, PodPhase, Raw, Status
from tests.simulation.pods import attempt_of
from tests.simulation.store import owner_uid
from tests.simulation.world import World

STATUS_BYTES = 100 * 1024
PINS = ("input", "started_from")
"""What a run keeps to the end once it has found it."""
LOST_VERDICTS = frozenset({Verdict.REJECTED, Verdict.ROLLED_BACK})


class Violation(AssertionError):
    """A law was broken."""


def require(holds: bool, message: str) -> None:
    """Raises Violation with the message unless the law holds."""
    if not holds:
        raise Violation(message)


def remember(world: World, saved: HeadraceObject) -> None:
    """Notes the decisions that a saved status carries, for later checks."""
    uid, status = saved.metadata.uid, saved.status
    if isinstance(status, RunStatus):
        world.truth.recorded.setdefault(uid, set()).add((str(status.run), str(status.attempt)))
        for name in PINS:
            if pinned := getattr(status, name, None):
                first = world.truth.pins.setdefault((uid, status.run, name), pinned)
                require(pinned == first, f"{saved.key}: run {status.run} began with {first} and goes on with {pinned}")
    else:
        for record in status.history:
            if record.verdict in LOST_VERDICTS:
                world.truth.lost_rollouts.add((uid, record.version))
        if status.stable:
            world.truth.first_stable.setdefault(uid, status.stable.name)


def remember_limits(world: World, resource: HeadraceObject) -> None:
    """Notes how many restarts the spec has ever allowed."""
    if recovery := getattr(resource.spec, "recovery", None):
        before = world.truth.restart_limits.get(resource.metadata.uid, 0)
        world.truth.restart_limits[resource.metadata.uid] = max(before, recovery.max_restarts)


def in_brief(status: Status) -> str:
    """A status in a few words, for the trace."""
    if isinstance(status, RunStatus):
        return f"{status.phase} run {status.run} attempt {status.attempt} restarts {status.restarts} disruptions {status.disruptions} step {status.progress.step if status.progress else '-'}"
    rollout = (
        f"{status.rollout.candidate.name} step {status.rollout.step} weight {status.rollout.weight}"
        if status.rollout
        else "no rollout"
    )
    return f"{status.phase} stable {status.stable.name if status.stable else '-'} {rollout} {status.history[0].verdict if status.history else ''}"


def is_live(pod: Pod) -> bool:
    """Whether the pod does its work: running, and nobody has asked it to go."""
    return pod.phase == PodPhase.RUNNING and not pod.deleting


# After every write.


def no_place_is_taken_twice(world: World) -> None:
    """Two live pods never have the same owner, role and index."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, pod in sorted(world.store.pods.items()):
        if is_live(pod) and labels.RUN in pod.labels:
            place = pod.labels[labels.UID], pod.labels[labels.ROLE], pod.labels.get(labels.INDEX, "")
            require(place not in seen, f"{seen.get(place)} and {name} both live as {place[1]} {place[2]} of {place[0]}")
            seen[place] = name


def one_attempt_lives_at_once(world: World) -> None:
    """The live pods of one owner are all of one run and attempt."""
    seen: dict[str, Pod] = {}
    for _, pod in sorted(world.store.pods.items()):
        if is_live(pod) and labels.RUN in pod.labels:
            other = seen.setdefault(pod.labels[labels.UID], pod)
            require(attempt_of(other) == attempt_of(pod), f"{other.name} and {pod.name} of two attempts live at once")


def pods_are_of_recorded_attempts(world: World) -> None:
    """No pod belongs to an attempt that no status has recorded."""
    for name, pod in sorted(world.store.pods.items()):
        if labels.RUN in pod.labels:
            uid, run, attempt = attempt_of(pod)
            require(
                (run, attempt) in world.truth.recorded.get(uid, set()),
                f"{name} is of run {run} attempt {attempt}, which no status recorded",
            )


AFTER_EVERY_WRITE: tuple[Callable[[World], None], ...] = (
    no_place_is_taken_twice,
    one_attempt_lives_at_once,
    pods_are_of_recorded_attempts,
)


def check_world(world: World) -> None:
    """The laws that hold at every moment."""
    for law in AFTER_EVERY_WRITE:
        law(world)


# After every save of a status.


def check_saved(world: World, observed: Observed, before: HeadraceObject, saved: HeadraceObject, size: int) -> None:
    """The laws of a status that was just saved in place of another."""
    require(size < STATUS_BYTES, f"{saved.key}: the status has {size} bytes")
    _check_conditions(saved)
    if isinstance(saved.status, RunStatus):
        assert isinstance(before.status, RunStatus)
        _check_run(world, before.status, saved)
    else:
        _check_endpoint(world, observed, saved)


def _holds(conditions: tuple[Condition, ...], name: str) -> bool:
    return any(condition.type == name and condition.status == "True" for condition in conditions)


def _check_conditions(saved: HeadraceObject) -> None:
    conditions, generation = saved.status.conditions, saved.metadata.generation
    types = [condition.type for condition in conditions]
    require(len(types) == len(set(types)), f"{saved.key}: a condition is there twice: {types}")
    require(
        saved.status.observed_generation <= generation, f"{saved.key}: observedGeneration is ahead of the generation"
    )
    for condition in conditions:
        require(bool(condition.message), f"{saved.key}: the condition {condition.type} has no message")
        require(
            condition.observed_generation <= generation, f"{saved.key}: {condition.type} is about a generation to come"
        )
    require(
        not (_holds(conditions, "Complete") and _holds(conditions, "Failed")),
        f"{saved.key} is Complete and Failed at once",
    )


def _check_run(world: World, before: RunStatus, saved: HeadraceObject) -> None:
    status, uid = saved.status, saved.metadata.uid
    assert isinstance(status, RunStatus)
    complete = status.phase == Phase.COMPLETE or _holds(status.conditions, "Complete")
    require(
        not complete or (uid, status.run, status.attempt) in world.truth.completed,
        f"{saved.key} says Complete, but no head of run {status.run} attempt {status.attempt} did",
    )
    require(status.percent is None or 0 <= status.percent <= 100, f"{saved.key}: {status.percent} percent")
    require(status.run >= before.run, f"{saved.key}: run went back from {before.run} to {status.run}")
    if status.run == before.run:
        for counter in ("attempt", "restarts", "disruptions"):
            old, new = getattr(before, counter), getattr(status, counter)
            require(new >= old, f"{saved.key}: {counter} went back from {old} to {new}")
        require(
            before.phase not in FINISHED or status.phase == before.phase,
            f"{saved.key}: run {status.run} was {before.phase} and is {status.phase}",
        )
    else:
        require(
            status.digest != before.digest,
            f"{saved.key}: run {status.run} was started with the digest of run {before.run}",
        )
    hung = world.truth.hangs.get((uid, status.run, status.attempt), 0)
    require(status.hangs <= hung, f"{saved.key}: {status.hangs} workers hung, where {hung} did")
    require(
        status.phase == Phase.RUNNING or not _holds(status.conditions, "Straggling"),
        f"{saved.key}: somebody straggles in a run that is {status.phase}",
    )
    limit = world.truth.restart_limits.get(uid, 0)
    require(status.restarts <= limit, f"{saved.key}: {status.restarts} restarts where {limit} are allowed")


def _check_endpoint(world: World, observed: Observed, saved: HeadraceObject) -> None:
    status: Any = saved.status
    uid, stable = saved.metadata.uid, status.stable
    if stable is None:
        require(not _holds(status.conditions, "Ready"), f"{saved.key} is Ready without a version")
        return
    ready = {world.truth.served.get(pod.uid) for pod in observed.pods if pod.ready}
    require(
        not _holds(status.conditions, "Ready") or stable.name in ready,
        f"{saved.key} is Ready without a ready server of {stable.name}",
    )
    require(stable.name in world.truth.versions, f"{saved.key}: no job ever offered {stable.name}")
    require(
        (uid, stable.name) not in world.truth.lost_rollouts,
        f"{saved.key}: {stable.name} is stable after it lost its rollout",
    )
    displaced = world.truth.first_stable[uid] != stable.name
    judged = saved.spec.rollout.canary is not None  # type: ignore[union-attr]
    hopeless = world.truth.versions[stable.name].hopeless
    require(
        not (displaced and judged and hopeless),
        f"{saved.key}: {stable.name}, which fails every second request, was promoted",
    )


def check_routing(table: Routing) -> None:
    """A table with any ready backend gives away all of the traffic."""
    if any(backend.endpoints for backend in table.backends):
        total = sum(backend.weight for backend in table.backends)
        require(total == 100, f"the weights add up to {total}: {table.wire()}")


# At the end.


def check_rest(world: World) -> None:
    """The laws of a world that has come to rest."""
    for name, controller in sorted(world.store.controllers.items()):
        require(controller in world.store.living_uids(), f"the pod {name} has no owner any more")
    for (kind, name), child in sorted(world.store.children.items()):
        require(owner_uid(child) in world.store.living_uids(), f"{kind} {name} has no owner any more")
        if kind == "EndpointSlice":
            require(_leads_to_its_head(world, child), f"{kind} {name} leads to where its run's head is not")
    for key in sorted(world.store.objects, key=str):
        resource = world.store.objects[key]
        require(
            (fault := unrest(world, resource)) is None,
            f"{key} did not come to rest: {fault}: {in_brief(resource.status)}",
        )


def _leads_to_its_head(world: World, child: Raw) -> bool:
    """Whether the address is the head's; a head that is gone has none."""
    attempt = {(key, child["metadata"]["labels"][key]) for key in (labels.UID, labels.RUN, labels.ATTEMPT, labels.ROLE)}
    heads = [pod for pod in world.store.pods.values() if attempt <= pod.labels.items()]
    return all([pod.address] == child["endpoints"][0]["addresses"] for pod in heads)


def unrest(world: World, resource: HeadraceObject) -> str | None:
    """Why an object is not where it can stay; None if it can."""
    status: Any = resource.status
    if status.observed_generation != resource.metadata.generation:
        return "its status is about an older generation"
    if _holds(status.conditions, "Refused"):
        return "it says that a child is refused where everything is taken"
    live = sorted(
        name
        for name, pod in world.store.pods.items()
        if pod.labels[labels.UID] == resource.metadata.uid and not pod.terminated
    )
    if isinstance(status, RunStatus):
        if status.phase in FINISHED or (resource.spec.suspend and status.phase == Phase.SUSPENDED):
            return f"pods are left: {', '.join(live)}" if live else None
        return None if _lacks_input(world, resource) and status.phase == Phase.PENDING else "it is not finished"
    if resource.spec.suspend:
        return (
            f"pods are left: {', '.join(live)}"
            if live
            else None
            if status.phase == EndpointPhase.SUSPENDED
            else "it is not suspended"
        )
    if status.rollout:
        return "its rollout does not end"
    if status.stable and world.truth.versions[status.stable.name].starts and status.phase != EndpointPhase.READY:
        return "it is not ready"
    return None


def _lacks_input(world: World, resource: Any) -> bool:
    keys = () if resource.kind == "DataPipeline" else (learns_from(resource), starts_from(resource))
    makers: list[Any] = [world.store.objects.get(key) for key in keys if key]
    return any(maker is None or maker.status.phase != Phase.COMPLETE for maker in makers)
