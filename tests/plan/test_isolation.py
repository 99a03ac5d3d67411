"""Who may reach whom: pods of one owner each other, the operator their reports, everybody the router's requests."""

from headrace.api.meta import Kind, ObjectMeta
from headrace.api.pods import PodSettings
from headrace.plan.isolation import network_policy, open_to_users
from headrace.plan.manifests import Owner
from headrace.plan.report_route import ReportRoute
from headrace.plan.values import Settings

OWNER = Owner(Kind.TRAIN_JOB, ObjectMeta(name="digits", uid="u1"), PodSettings())
MINE = {"podSelector": {"matchLabels": {"headrace.dev/uid": "u1"}}}


def test_only_the_run_and_the_operator_reach_its_pods() -> None:
    """Every port for the run's own pods, the report port alone for the operator's namespace."""
    spec = network_policy(OWNER, "digits-pods", {}, Settings(operator_namespace="system"))["spec"]
    run, operator = spec["ingress"]
    assert (spec["podSelector"], run) == (MINE["podSelector"], {"from": [MINE]})
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]
    assert operator["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "system"}}}]


def test_an_api_server_that_asks_for_reports_is_let_in() -> None:
    """No selector names it: the port is open to all, and answers the bearer of the token."""
    settings = Settings(operator_namespace="system", reports=ReportRoute.PROXY)
    _, asked = network_policy(OWNER, "digits-pods", {}, settings)["spec"]["ingress"]
    assert asked == {"ports": [{"protocol": "TCP", "port": 8265}]}


def test_pods_do_not_reach_the_clusters_own_addresses() -> None:
    """Name servers and the world are reached, private ranges are not, unless the settings say so."""
    rules = network_policy(OWNER, "digits-pods", {}, Settings())["spec"]["egress"]
    assert {"to": [MINE]} in rules
    blocks = [target["ipBlock"] for rule in rules for target in rule.get("to", ()) if "ipBlock" in target]
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "::/0"}
    assert "10.0.0.0/8" in blocks[0]["except"]
    store = {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}}}]}
    assert store in network_policy(OWNER, "digits-pods", {}, Settings(egress=(store,)))["spec"]["egress"]


def test_everybody_reaches_the_router_and_only_its_port_for_requests() -> None:
    """Servers and reports stay closed."""
    spec = open_to_users(OWNER, "digits-users", {})["spec"]
    assert spec["podSelector"]["matchLabels"] == {"headrace.dev/uid": "u1", "headrace.dev/role": "router"}
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
