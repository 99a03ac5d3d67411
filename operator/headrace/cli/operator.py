"""`headrace operator`: the operator as a process, in a pod or at a desk."""

from pathlib import Path

from headrace.operate import Options, operate
from headrace.plan.values import Settings

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def run_operator(
    settings: Settings,
    namespaces: tuple[str, ...],
    lease_namespace: str | None,
    context: str | None,
    port: int,
    *,
    json_logs: bool,
) -> int:
    """Runs until SIGTERM and returns the exit code."""
    own = OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.is_file() else "default"
    return operate(Options(settings, namespaces, lease_namespace or own, context, port, json_logs))
