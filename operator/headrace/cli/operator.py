"""`headrace operator`: the operator as a process, in a pod or at a desk."""

import json
from pathlib import Path

from headrace.cli.errors import Sentence
from headrace.operate import Options, operate
from headrace.plan.values import Raw, Settings

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class BadRules(Sentence):
    """The egress rules cannot be used."""


def own_namespace() -> str:
    """The namespace of the pod that this runs in; `default` outside a pod."""
    return OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.is_file() else "default"


def read_rules(text: str) -> tuple[Raw, ...]:
    """The egress rules of a JSON list."""
    try:
        rules = json.loads(text)
    except ValueError as error:
        raise BadRules(f"--egress is no JSON: {error}") from error
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise BadRules('--egress is no list of egress rules of a NetworkPolicy; write [{"to": […]}]')
    return tuple(rules)


def run_operator(
    settings: Settings, name: str, namespaces: tuple[str, ...], context: str | None, port: int, *, json_logs: bool
) -> int:
    """Runs until SIGTERM and returns the exit code."""
    return operate(Options(settings, namespaces, name, settings.operator_namespace, context, port, json_logs))
