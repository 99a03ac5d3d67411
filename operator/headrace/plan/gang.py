"""Gang scheduling: a PodGroup by which a cluster's scheduler places the head and workers.min together, or none of them.

An attempt has one PodGroup. It is never changed, as some schedulers do not allow it; local mode has gangs without one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.api.job import Gang
from headrace.api.objects import RunObject
from headrace.api.pods import Workers
from headrace.api.status import Phase
from headrace.plan import labels, manifests
from headrace.plan.manifests import Owner
from headrace.plan.names import attempt_name
from headrace.plan.run_progress import is_of_attempt
from headrace.plan.values import Observed, Pod, PodPhase, Raw

KIND = "PodGroup"
ECHOES = ("waiting for minCount pods from a gang", "rejection in PostFilter", "rejection in Unreserve")
"""What schedulers say of a pod that had room itself, while another of its gang had none."""
COSCHEDULING_LABEL = "scheduling.x-k8s.io/pod-group"


@dataclass(frozen=True)
class PodGroups:
    """How one scheduler has its PodGroups written."""

    api_version: str
    spec: Callable[[int], Raw]
    """The spec of a group that needs so many pods."""
    join: Callable[[Raw, str], Raw]
    """A pod's manifest with the group's name in it."""


def _join_by_field(pod: Raw, group: str) -> Raw:
    return {**pod, "spec": {**pod["spec"], "schedulingGroup": {"podGroupName": group}}}


def _join_by_label(pod: Raw, group: str) -> Raw:
    """Not a label of our own, but the only place where this scheduler looks."""
    own = dict(sorted({**pod["metadata"]["labels"], COSCHEDULING_LABEL: group}.items()))
    return {**pod, "metadata": {**pod["metadata"], "labels": own}}


APIS: Mapping[str, PodGroups] = {
    "kubernetes": PodGroups(
        "scheduling.k8s.io/v1alpha2",
        lambda members: {"schedulingPolicy": {"gang": {"minCount": members}}},
        _join_by_field,
    ),
    "coscheduling": PodGroups(
        "scheduling.x-k8s.io/v1alpha1",
        lambda members: {"minMember": members},
        _join_by_label,
    ),
}
"""By the name of the choice in the API."""


def members(workers: Workers) -> int:
    """How many pods a run cannot do without: its head and the fewest workers."""
    return 1 + workers.min


def group_name(resource: RunObject) -> str:
    """The name of the PodGroup of the attempt that the status says."""
    return attempt_name(resource.metadata, resource.status.run, resource.status.attempt, "gang")


def pod_group(owner: Owner, resource: RunObject, gang: Gang, workers: Workers, own: Mapping[str, str]) -> Raw:
    """The PodGroup of the attempt that the status says."""
    api, minimum = APIS[gang.chosen], members(workers)
    return {
        "apiVersion": api.api_version, "kind": KIND,
        "metadata": manifests.metadata(owner, group_name(resource), {**own, labels.GANG_MINIMUM: str(minimum)}),
        "spec": api.spec(minimum),
    }  # fmt: skip


def joined(pod: Raw, resource: RunObject, gang: Gang) -> Raw:
    """A pod's manifest as one of the gang."""
    return APIS[gang.chosen].join(pod, group_name(resource))


def is_held_by_others(pod: Pod) -> bool:
    """Whether a pod waits for others of its gang alone: what lacks is said of those."""
    return any(echo in pod.message for echo in ECHOES)


def is_outdated(observed: Observed, workers: Workers) -> bool:
    """Whether the attempt waits for room for another number of pods than the spec asks for by now, and holds none."""
    resource = observed.object
    assert isinstance(resource, RunObject)
    group = observed.child(KIND, group_name(resource))
    if group is None or resource.status.phase != Phase.PENDING:
        return False
    mine = [pod for pod in observed.pods if is_of_attempt(pod, resource.status)]
    waits = all(pod.phase == PodPhase.PENDING and not pod.bound for pod in mine)
    return waits and group["metadata"]["labels"].get(labels.GANG_MINIMUM) != str(members(workers))
