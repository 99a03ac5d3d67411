"""The port on the Kubernetes API: memory filled by watches, writes fenced by a lease, reports pulled from pods."""

from headrace.kube.client import Api, connect
from headrace.kube.cluster import KubeCluster
from headrace.kube.lean_watch import watch
from headrace.kube.lease import Lease, Timing
from headrace.kube.resources import CUSTOM, POD, Resource
from headrace.kube.sweep import Sweep

__all__ = ["CUSTOM", "POD", "Api", "KubeCluster", "Lease", "Resource", "Sweep", "Timing", "connect", "watch"]
