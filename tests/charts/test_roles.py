"""What the operator may do, as a table: the rendered rules are these and no others."""

from typing import Any

import pytest

from tests.charts.rendering import identity, of_kind, one, render

pytestmark = pytest.mark.cluster
KINDS = ("datapipelines", "trainjobs", "tunejobs", "inferenceendpoints")
CONVERGE = {"list", "create", "patch", "delete"}
Right = tuple[str, str, str, str]
"""API group, resource, name of the object (empty: any), verb."""


def rights(group: str, resource: str, verbs: set[str], name: str = "") -> set[Right]:
    return {(group, resource, name, verb) for verb in verbs}


WATCHED = set().union(
    *(
        rights("headrace.dev", kind, {"list", "watch"} | ({"delete"} if kind != "inferenceendpoints" else set()))
        for kind in KINDS
    ),
    *(rights("headrace.dev", f"{kind}/status", {"update"}) for kind in KINDS),
    rights("", "pods", {"list", "watch", "create", "delete"}),
    rights("", "secrets", {"create"}),
    rights("", "configmaps", CONVERGE),
    rights("", "services", CONVERGE),
    rights("discovery.k8s.io", "endpointslices", CONVERGE),
    rights("apps", "deployments", CONVERGE),
    rights("policy", "poddisruptionbudgets", {"list", "create"}),
    rights("networking.k8s.io", "networkpolicies", CONVERGE),
    rights("scheduling.k8s.io", "podgroups", {"list", "create", "delete"}),
    rights("scheduling.x-k8s.io", "podgroups", {"list", "create", "delete"}),
    rights("events.k8s.io", "events", {"create"}),
)
OWN = set().union(
    rights("coordination.k8s.io", "leases", {"get", "update"}, "headrace"),
    rights("coordination.k8s.io", "leases", {"create"}),
    rights("", "secrets", {"get", "update"}, "headrace-key"),
)
READ, WRITE = {"get", "list", "watch"}, {"create", "update", "patch", "delete", "deletecollection"}
SCALED = ("datapipelines/scale", "trainjobs/scale")
VIEWERS = set().union(
    *(rights("headrace.dev", kind, READ) for kind in KINDS),
    *(rights("headrace.dev", f"{kind}/status", {"get"}) for kind in KINDS),
    *(rights("headrace.dev", scale, {"get"}) for scale in SCALED),
)
EDITORS = set().union(
    *(rights("headrace.dev", kind, WRITE) for kind in KINDS),
    *(rights("headrace.dev", scale, {"update", "patch"}) for scale in SCALED),
)


def rights_of(role: dict[str, Any]) -> set[Right]:
    """Every single right that a role gives."""
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def operators_rights(objects: list[dict[str, Any]]) -> dict[tuple[str, str], set[Right]]:
    """What the operator's ServiceAccount may do, by kind of binding and namespace, through its bindings."""
    account = one(objects, "ServiceAccount")["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    roles = {identity(raw): rights_of(raw) for raw in objects if raw["kind"] in {"Role", "ClusterRole"}}
    found: dict[tuple[str, str], set[Right]] = {}
    for binding in (raw for raw in objects if raw["kind"].endswith("Binding")):
        assert binding["subjects"] == [subject]
        namespace = binding["metadata"].get("namespace", "")
        reference = binding["roleRef"]
        role = roles[reference["kind"], namespace if reference["kind"] == "Role" else "", reference["name"]]
        found.setdefault((binding["kind"], namespace), set()).update(role)
    return found


def test_in_all_namespaces() -> None:
    """By default the operator has the table everywhere, and its Lease and key in its own namespace."""
    assert operators_rights(render()) == {
        ("ClusterRoleBinding", ""): WATCHED,
        ("RoleBinding", "headrace-system"): OWN,
    }


def test_reports_through_the_api_server() -> None:
    """With operator.reports=Proxy the operator may use the proxy of pods, and only then."""
    proxied = rights("", "pods/proxy", {"get", "update"})
    asked = operators_rights(render({"operator": {"reports": "Proxy"}}))
    assert asked["ClusterRoleBinding", ""] == WATCHED | proxied
    assert not WATCHED & proxied


def test_in_named_namespaces() -> None:
    """With watch.namespaces it has the table in each of them and nothing in others."""
    objects = render({"watch": {"namespaces": ["team-a", "headrace-system"]}, "rbac": {"aggregate": False}})
    assert operators_rights(objects) == {
        ("RoleBinding", "team-a"): WATCHED,
        ("RoleBinding", "headrace-system"): WATCHED | OWN,
    }
    assert of_kind(objects, "ClusterRole") == []


def test_no_wildcards_and_no_reading_of_secrets() -> None:
    """No rule of any role has a star, and the only Secret that is read is the operator's own."""
    every = set().union(*(rights_of(raw) for raw in render() if raw["kind"] in {"Role", "ClusterRole"}))
    assert not any("*" in part for right in every for part in right)
    read = {right for right in every if right[1] == "secrets" and right[3] != "create"}
    assert read == {("", "secrets", "headrace-key", verb) for verb in ("get", "update")}


def test_users_roles_are_extended() -> None:
    """view reads the four kinds and what they show; edit and admin write them; nobody writes a status."""
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    given: dict[str, set[Right]] = {"view": set(), "edit": set(), "admin": set()}
    for role in of_kind(render(), "ClusterRole"):
        for name, into in given.items():
            if role["metadata"]["labels"].get(prefix + name) == "true":
                into.update(rights_of(role))
    assert given == {"view": VIEWERS, "edit": VIEWERS | EDITORS, "admin": VIEWERS | EDITORS}


def test_roles_of_ones_own() -> None:
    """Without rbac.create and serviceAccount.create the chart makes neither, and names the account that is given."""
    values = {"rbac": {"create": False, "aggregate": False}, "serviceAccount": {"create": False, "name": "mine"}}
    objects = render(values)
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"} & {
        raw["kind"] for raw in objects
    }
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
