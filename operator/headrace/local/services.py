"""Where a Service's address leads on this machine: to the port of one of the pods that it selects."""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.local.pods import LOOPBACK, LocalPod
from headrace.local.refusals import NotYet
from headrace.plan.values import Raw


def resolve(value: str, namespace: str, services: Iterable[Raw], pods: Iterable[LocalPod]) -> str | None:
    """The loopback address for a "<service>:<port>"; None if the value is no such thing, NotYet if the Service has no pod."""
    host, _, port = value.rpartition(":")
    service = next((one for one in services if _is_named(one, host, namespace)), None)
    if service is None:
        return None
    entry = next(
        (entry for entry in service["spec"].get("ports", ()) if port in (str(entry["port"]), entry.get("name"))), None
    )
    if entry is None:
        return None
    target = entry.get("targetPort", entry["port"])
    numbers = [number for pod in _selected(service, pods) if (number := _port_of(pod, target)) is not None]
    if not numbers:
        raise NotYet(f"waits for a pod behind the Service {host}")
    return f"{LOOPBACK}:{numbers[0]}"


def _is_named(service: Raw, host: str, namespace: str) -> bool:
    metadata = service["metadata"]
    if metadata["namespace"] != namespace:
        return False
    full = f"{metadata['name']}.{namespace}.svc.cluster.local"
    return host == metadata["name"] or (host.startswith(f"{metadata['name']}.{namespace}") and full.startswith(host))


def _selected(service: Raw, pods: Iterable[LocalPod]) -> list[LocalPod]:
    """The pods that it selects: ready ones first, then the newest."""
    selector: Mapping[str, str] = service["spec"].get("selector") or {}
    chosen = [
        pod
        for pod in pods
        if pod.key[1] == service["metadata"]["namespace"]
        and selector
        and selector.items() <= dict(pod.labels).items()
        and not pod.terminated
        and not pod.deleting
    ]
    return sorted(chosen, key=lambda pod: (not pod.status.ready, -pod.status.sequence))


def _port_of(pod: LocalPod, target: Any) -> int | None:
    if isinstance(target, str) and not target.isdecimal():
        return pod.status.ports.get(target)
    name = next(
        (port.get("name") for port in pod.container.get("ports", ()) if port["containerPort"] == int(target)), None
    )
    return pod.status.ports.get(name) if name else None
