"""The shape of every child: pods as a GPU cluster wants them, restricted by default.

Builds values only; what a pod's size, image or place is comes from the spec and the settings.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.api import environment
from headrace.api.base import Model
from headrace.api.meta import Kind, ObjectMeta, owner_reference
from headrace.api.pods import PodSettings, Resources, SecretKey
from headrace.api.quantity import parse_quantity
from headrace.plan import labels
from headrace.plan.values import Raw, Settings

SPEC_FOLDER = "/etc/headrace"
SPEC_FILE = "run.json"
TOKEN_KEY = "token"  # noqa: S105
REPORT_PORT = 8265
RAY_PORT = 6379
HTTP_PORT = 8000
RAY_SHARE_OF_MEMORY = 0.3
HEAD_RESOURCES = Resources(cpu="100m", memory="2Gi")
ROUTER_RESOURCES = Resources(cpu="50m", memory="256Mi")
PROBE_RESOURCES = Resources(cpu="50m", memory="512Mi")
SHARED_MEMORY = "1Gi"


@dataclass(frozen=True)
class Owner:
    """Whose children these are, and how its pods are made."""

    kind: Kind
    metadata: ObjectMeta
    pods: PodSettings
    pod_template: Mapping[str, Any] | None = None

    def labels(self, role: str, **more: str) -> dict[str, str]:
        """The labels of a child in a role."""
        return {
            labels.MANAGED_BY: "headrace", labels.KIND: str(self.kind), labels.NAME: self.metadata.name,
            labels.UID: self.metadata.uid, labels.ROLE: role, **more,
        }  # fmt: skip


@dataclass(frozen=True)
class Container:
    """What one pod runs."""

    module: str
    arguments: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    ports: Mapping[str, int] = field(default_factory=dict)
    config_map: str | None = None
    secret: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretKey] = field(default_factory=dict)
    """Variables that are keys of the users' Secrets; what a Secret lacks is missing."""
    stores: bool = True
    """Whether it reads or writes the storage."""
    ready_path: str | None = None
    ready_port: str = "http"


def metadata(
    owner: Owner, name: str, child_labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Raw:
    """The metadata of a child."""
    return {
        "name": name,
        "namespace": owner.metadata.namespace,
        "labels": dict(sorted(child_labels.items())),
        **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
        "ownerReferences": [owner_reference(owner.kind, owner.metadata)],
    }


def config_map(owner: Owner, name: str, child_labels: Mapping[str, str], spec: Model) -> Raw:
    """The ConfigMap with what a pod is told."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(owner, name, child_labels),
        "data": {SPEC_FILE: spec.model_dump_json(by_alias=True, exclude_none=True)},
    }  # fmt: skip


def token_secret(owner: Owner, name: str, child_labels: Mapping[str, str]) -> Raw:
    """The Secret with the run's own token; the edge fills it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(owner, name, child_labels),
        "type": "Opaque",
        "immutable": True,
    }


def disruption_budget(owner: Owner, name: str, own: Mapping[str, str], selector: Mapping[str, str]) -> Raw:
    """A PodDisruptionBudget under which the one pod that it selects is not evicted: a drain waits for the end of the run.

    minAvailable, because maxUnavailable has Kubernetes ask the owner for its scale, which only some kinds have.
    """
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(owner, name, own),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": dict(sorted(selector.items()))}},
    }  # fmt: skip


def service(
    owner: Owner,
    name: str,
    child_labels: Mapping[str, str],
    selector: Mapping[str, str],
    ports: Mapping[str, tuple[int, str]],
) -> Raw:
    """A Service; `ports` gives the Service's port and the container port's name by name."""
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(owner, name, child_labels),
        "spec": {
            "selector": dict(sorted(selector.items())),
            "ports": [{"name": key, "port": port, "targetPort": target} for key, (port, target) in sorted(ports.items())],
        },
    }  # fmt: skip


def name_of_addresses(owner: Owner, name: str, child_labels: Mapping[str, str], ports: Mapping[str, int]) -> Raw:
    """A headless Service without pods of its own: the addresses behind its name are written as an EndpointSlice.

    An empty selector, as an absent one would let a selector of somebody else's stay; one family of addresses, as without
    a selector Kubernetes asks for both and then refuses every change where a cluster has only one.
    """
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(owner, name, child_labels),
        "spec": {
            "clusterIP": "None", "ipFamilyPolicy": "SingleStack", "selector": {},
            "ports": [{"name": key, "port": port} for key, port in sorted(ports.items())],
        },
    }  # fmt: skip


def addresses(owner: Owner, name: str, child_labels: Mapping[str, str], address: str, ports: Mapping[str, int]) -> Raw:
    """The EndpointSlice behind the Service of the same name: one address."""
    own = {**child_labels, labels.SLICE_SERVICE: name, labels.SLICE_MANAGED_BY: labels.SLICE_MANAGER}
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata(owner, name, own),
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": key, "port": port, "protocol": "TCP"} for key, port in sorted(ports.items())],
    }  # fmt: skip


def pod(
    owner: Owner,
    name: str,
    child_labels: Mapping[str, str],
    container: Container,
    settings: Settings,
    annotations: Mapping[str, str] | None = None,
) -> Raw:
    """A Pod that runs once."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata(owner, name, child_labels, annotations),
        "spec": pod_spec(owner, container, settings, restart_policy="Never"),
    }  # fmt: skip


def deployment(
    owner: Owner, name: str, child_labels: Mapping[str, str], container: Container, settings: Settings, replicas: int,
    annotations: Mapping[str, str] | None = None,
) -> Raw:  # fmt: skip
    """A Deployment of equal pods, which are replaced without a gap."""
    template_labels = dict(sorted(child_labels.items()))
    manifest: Raw = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(owner, name, child_labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": template_labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": template_labels, **({"annotations": dict(sorted(annotations.items()))} if annotations else {})},
                "spec": pod_spec(owner, container, settings, restart_policy="Always"),
            },
        },
    }  # fmt: skip
    return with_hash(manifest)


def with_hash(manifest: Raw) -> Raw:
    """The manifest with an annotation that tells it from any other."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    annotations = {**manifest["metadata"].get("annotations", {}), labels.HASH: digest}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": dict(sorted(annotations.items()))}}


def is_applied(manifest: Raw, seen: Raw | None) -> bool:
    """Whether the child that was seen came from this manifest."""
    return seen is not None and bool(
        seen["metadata"].get("annotations", {}).get(labels.HASH) == manifest["metadata"]["annotations"][labels.HASH]
    )


def pod_spec(owner: Owner, container: Container, settings: Settings, restart_policy: str) -> Raw:
    """The spec of a pod: Pod Security Standard `restricted`, read-only root, no API token, no service links."""
    pods = owner.pods
    requests = _requests(container.resources, settings)
    spec: Raw = {
        "restartPolicy": restart_policy,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pods.grace_period_seconds,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "main",
            "image": pods.image or settings.worker_image,
            "command": ["python", "-m", container.module, *container.arguments],
            "env": _environment(pods, container),
            "ports": [{"name": key, "containerPort": port} for key, port in sorted(container.ports.items())],
            "resources": {"requests": requests, "limits": {key: value for key, value in requests.items() if key != "cpu"}},
            "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": _mounts(pods, container, settings),
        }],
        "volumes": _volumes(pods, container, settings),
    }  # fmt: skip
    main = spec["containers"][0]
    if pods.image_pull_policy:
        main["imagePullPolicy"] = str(pods.image_pull_policy)
    if container.ready_path:
        main["readinessProbe"] = {
            "httpGet": {"path": container.ready_path, "port": container.ready_port}, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2,
        }  # fmt: skip
    optional = {
        "imagePullSecrets": [{"name": name} for name in pods.image_pull_secrets],
        "nodeSelector": dict(sorted(pods.node_selector.items())),
        "tolerations": [toleration.wire() for toleration in pods.tolerations],
        "affinity": pods.affinity,
        "topologySpreadConstraints": list(pods.topology_spread_constraints),
        "priorityClassName": pods.priority_class_name,
        "schedulerName": pods.scheduler_name,
        "runtimeClassName": pods.runtime_class_name,
        "serviceAccountName": pods.service_account_name,
    }
    spec |= {key: value for key, value in optional.items() if value}
    return merged(spec, owner.pod_template.get("spec", owner.pod_template)) if owner.pod_template else spec


def merged(base: Any, over: Any) -> Any:
    """`over` laid over `base`: objects key by key, lists of named things by name, everything else replaced."""
    if isinstance(base, dict) and isinstance(over, Mapping):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    if _are_named(base) and _are_named(over):
        by_name = {item["name"]: item for item in base}
        return list((by_name | {item["name"]: merged(by_name.get(item["name"]), item) for item in over}).values())
    return over


def _are_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) and "name" in item for item in value)


def _requests(resources: Resources, settings: Settings) -> dict[str, str]:
    requests = {"cpu": resources.cpu, "memory": resources.memory}
    if resources.gpu:
        requests[settings.gpu_resource] = str(resources.gpu)
    if resources.ephemeral_storage:
        requests["ephemeral-storage"] = resources.ephemeral_storage
    return requests


def _environment(pods: PodSettings, container: Container) -> list[Raw]:
    own: list[Raw] = [
        {"name": environment.POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": environment.POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    numbers = (
        (environment.CPUS, max(1, int(parse_quantity(container.resources.cpu))), environment.CPUS_DEFAULT),
        (environment.GPUS, container.resources.gpu, environment.GPUS_DEFAULT),
        (environment.GRACE_SECONDS, pods.grace_period_seconds, environment.GRACE_SECONDS_DEFAULT),
    )
    own += [{"name": name, "value": str(number)} for name, number, default in numbers if number != default]
    if container.config_map:
        own.append({"name": environment.RUN_SPEC, "value": f"{SPEC_FOLDER}/{SPEC_FILE}"})
    if container.secret:
        own.append(
            {"name": environment.TOKEN, "valueFrom": {"secretKeyRef": {"name": container.secret, "key": TOKEN_KEY}}}
        )
    own += [
        {"name": environment.port_variable(key), "value": str(port)} for key, port in sorted(container.ports.items())
    ]
    own += [{"name": key, "value": value} for key, value in sorted(container.variables.items())]
    own += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key, "optional": True}}}
        for name, secret in sorted(container.secrets.items())
    ]
    users: list[Raw] = [
        {"name": variable.name, "value": variable.value}
        if variable.secret is None
        else {
            "name": variable.name,
            "valueFrom": {"secretKeyRef": {"name": variable.secret.name, "key": variable.secret.key}},
        }
        for variable in pods.environment
    ]
    return own + users


def _storage_path(container: Container, settings: Settings) -> str:
    """Where the storage claim is mounted; empty if it is not."""
    if not (settings.storage_claim and container.stores and settings.storage_root.startswith("file://")):
        return ""
    return settings.storage_root.removeprefix("file://")


def _volumes(pods: PodSettings, container: Container, settings: Settings) -> list[Raw]:
    volumes: list[Raw] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
    ]
    if container.config_map:
        volumes.append({"name": "spec", "configMap": {"name": container.config_map}})
    if _storage_path(container, settings):
        volumes.append({"name": "storage", "persistentVolumeClaim": {"claimName": settings.storage_claim}})
    return volumes + [{"name": volume.name, **volume.source} for volume in pods.volumes]


def _mounts(pods: PodSettings, container: Container, settings: Settings) -> list[Raw]:
    mounts: list[Raw] = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108
    if container.config_map:
        mounts.append({"name": "spec", "mountPath": SPEC_FOLDER, "readOnly": True})
    if path := _storage_path(container, settings):
        mounts.append({"name": "storage", "mountPath": path})
    return mounts + [
        {"name": volume.name, "mountPath": volume.mount_path, "readOnly": volume.read_only} for volume in pods.volumes
    ]
