"""Who may reach a run's or an endpoint's pods, and whom these may reach: NetworkPolicies."""

from collections.abc import Mapping
from typing import Any

from headrace.plan import labels, manifests
from headrace.plan.manifests import Owner
from headrace.plan.report_route import ReportRoute
from headrace.plan.values import Raw, Settings

PRIVATE = {
    "0.0.0.0/0": ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
    "::/0": ["fc00::/7", "fe80::/10"],
}
"""The ranges that clusters use for their own: other pods, Services and the API server, and the cloud's metadata."""

NAMESPACE = "kubernetes.io/metadata.name"


def network_policy(owner: Owner, name: str, own: Mapping[str, str], settings: Settings) -> Raw:
    """The pods of one owner reach each other, name servers, the world outside the cluster, and what the settings add.

    They are reached by each other, and on their report port by the operator: by everybody where it asks through the API
    server, whose address no selector names. That port answers the bearer of the run's token alone.
    """
    mine: Raw = {"podSelector": {"matchLabels": {labels.UID: owner.metadata.uid}}}
    ingress: list[Raw] = [{"from": [mine]}]
    report: Raw = {"ports": [{"protocol": "TCP", "port": manifests.REPORT_PORT}]}
    if settings.reports == ReportRoute.PROXY:
        ingress.append(report)
    elif settings.operator_namespace:
        operator = {"namespaceSelector": {"matchLabels": {NAMESPACE: settings.operator_namespace}}}
        ingress.append({"from": [operator], **report})
    egress: list[Any] = [
        {"to": [mine]},
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
        {"to": [{"ipBlock": {"cidr": everywhere, "except": private}} for everywhere, private in PRIVATE.items()]},
        *settings.egress,
    ]
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": manifests.metadata(owner, name, own),
        "spec": {**mine, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress},
    }  # fmt: skip


def open_to_users(owner: Owner, name: str, own: Mapping[str, str]) -> Raw:
    """Everybody reaches an endpoint's routers on the port for requests."""
    selector = {labels.UID: owner.metadata.uid, labels.ROLE: labels.ROUTER}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": manifests.metadata(owner, name, own),
        "spec": {
            "podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"protocol": "TCP", "port": manifests.HTTP_PORT}]}],
        },
    }  # fmt: skip
