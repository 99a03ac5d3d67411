"""The labels and annotations that children carry: our own alone, never a copy of the owner's."""

KIND = "headrace.dev/kind"
NAME = "headrace.dev/name"
UID = "headrace.dev/uid"
RUN = "headrace.dev/run"
ATTEMPT = "headrace.dev/attempt"
ROLE = "headrace.dev/role"
INDEX = "headrace.dev/index"
VERSION = "headrace.dev/version"
MANAGED_BY = "app.kubernetes.io/managed-by"

SLICE_SERVICE = "kubernetes.io/service-name"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "headrace.dev"
"""Labels of an EndpointSlice: whose addresses it has, and who writes it, so that Kubernetes' controllers leave it alone."""

HASH = "headrace.dev/hash"
"""Annotation: digest of the manifest that was applied, so that an equal one is not applied again."""

GANG = "headrace.dev/gang"
GANG_MINIMUM = "headrace.dev/gang-minimum"
"""Annotations: pods of one gang start together once this many fit; local mode's scheduler reads them.

On a PodGroup the second one is a label, as labels are remembered."""

LOCAL_PORT = "headrace.dev/local-port"
"""Annotation: the loopback port that local mode gives to the container port `http`."""

HEAD = "head"
WORKER = "worker"
SERVER = "server"
ROUTER = "router"
PROBE = "probe"
