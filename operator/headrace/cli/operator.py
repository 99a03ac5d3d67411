"""`headrace operator`: the operator as a process, in a pod or at a desk."""

import json

from headrace.api.credentials import ADVICE, shows_credentials
from headrace.cli.errors import Sentence
from headrace.kube.client import ApiError, NoCluster
from headrace.kube.operator_key import NoKey
from headrace.operate import Options, operate
from headrace.plan.values import Raw, Settings


class BadRules(Sentence):
    """The egress rules cannot be used."""


def read_rules(text: str) -> tuple[Raw, ...]:
    """The egress rules of a JSON list."""
    try:
        rules = json.loads(text)
    except ValueError as error:
        raise BadRules(f"--egress is no JSON: {error}") from error
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise BadRules('--egress is no list of egress rules of a NetworkPolicy; write [{"to": […]}]')
    return tuple(rules)


class OpenRoot(Sentence):
    """The storage root says what a Secret should."""


def read_root(uri: str) -> str:
    """The storage root, which every object's status names."""
    if shows_credentials(uri):
        raise OpenRoot(f"--storage-root holds credentials, which every .status would show; {ADVICE} of the objects")
    return uri


class CannotStart(Sentence):
    """There is nothing to serve."""


def run_operator(
    settings: Settings, name: str, namespaces: tuple[str, ...], context: str | None, port: int, *, json_logs: bool
) -> None:
    """Runs until SIGTERM."""
    try:
        operate(Options(settings, namespaces, name, settings.operator_namespace, context, port, json_logs))
    except (NoCluster, NoKey, ApiError) as error:
        raise CannotStart(str(error)) from error
