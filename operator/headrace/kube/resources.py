"""What the operator reads and writes: the API's names of each kind, and the paths under which it is found."""

from dataclasses import dataclass

from headrace.api.crds import PLURALS
from headrace.api.meta import GROUP, VERSION, Kind
from headrace.plan import labels
from headrace.plan.values import Raw


@dataclass(frozen=True)
class Resource:
    """One kind as the API server names it."""

    kind: str
    group: str
    version: str
    plural: str
    lacking: str = ""
    """Of what a cluster may do without: what to do where its API server does not serve this."""
    manager: str = f"{labels.MANAGED_BY}=headrace"
    """The label that the operator's own carry, and nobody else's."""

    def path(self, namespace: str | None = None, name: str | None = None, part: str | None = None) -> str:
        """The path of all objects, of those of a namespace, of one object, or of a part of it such as its status."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        return "/".join([f"{root}{place}/{self.plural}", *(each for each in (name, part) if each)])

    @property
    def api_version(self) -> str:
        """The apiVersion of its manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def selector(self) -> str:
        """The labels of those that are watched: all custom resources, and of other kinds the children alone."""
        return "" if self.group == GROUP else self.manager


POD = Resource("Pod", "", "v1", "pods")
SECRET = Resource("Secret", "", "v1", "secrets")
EVENT = Resource("Event", "events.k8s.io", "v1", "events")
LEASE = Resource("Lease", "coordination.k8s.io", "v1", "leases")

CUSTOM = tuple(Resource(str(kind), GROUP, VERSION, PLURALS[kind]) for kind in Kind)
WATCHED = (*CUSTOM, POD)
"""What tells of itself when it changes."""

SWEPT = (
    *WATCHED,
    Resource("ConfigMap", "", "v1", "configmaps"),
    Resource("Service", "", "v1", "services"),
    # Kubernetes' controllers give the EndpointSlices that they make all labels of the Service.
    Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices",
        manager=f"{labels.SLICE_MANAGED_BY}={labels.SLICE_MANAGER}"),
    Resource("Deployment", "apps", "v1", "deployments"),
    Resource("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
)  # fmt: skip
"""What is looked at now and then. Of the children but pods only the operator's own writes matter, and a sweep finds what
somebody else did to them; watching them costs more than making them. Secrets are written and never read back."""

POD_GROUPS = {
    "kubernetes": Resource("PodGroup", "scheduling.k8s.io", "v1alpha2", "podgroups",
        "this cluster serves no PodGroups of scheduling.k8s.io/v1alpha2: start its API server with "
        "--runtime-config=scheduling.k8s.io/v1alpha2=true, and API server, controller manager and scheduler with "
        "--feature-gates=GenericWorkload=true,GangScheduling=true, or take spec.gang away"),
    "coscheduling": Resource("PodGroup", "scheduling.x-k8s.io", "v1alpha1", "podgroups",
        "this cluster serves no PodGroups of scheduling.x-k8s.io/v1alpha1: install sigs.k8s.io/scheduler-plugins with "
        "its definition of PodGroup, or take spec.gang away"),
}  # fmt: skip
"""By the choice of spec.gang. They are swept only where they are used: most clusters do not have them."""

BY_KIND = {resource.kind: resource for resource in (*SWEPT, SECRET)}
"""The kinds of which there is one."""

_BY_NAME = {(resource.api_version, resource.kind): resource for resource in (*SWEPT, SECRET, *POD_GROUPS.values())}


def resource_of(raw: Raw) -> Resource:
    """What a manifest, or an object, is one of."""
    return _BY_NAME[raw["apiVersion"], raw["kind"]]
