"""The objects that Helm makes of the chart."""

import re
from typing import Any

import pytest
import yaml

import headrace
from tests.charts.rendering import CHART, ROOT, helm, identity, of_kind, one, render, template

pytestmark = pytest.mark.cluster
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
EVERYTHING = {
    "metrics": {"serviceMonitor": {"enable": True}, "prometheusRule": {"enable": True}},
    "commonLabels": {"team": "a"},
    "commonAnnotations": {"note": "b"},
}


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = one(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def container_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (container,) = pod_of(objects)["containers"]
    return dict(container)


def test_lint() -> None:
    """Helm's own linter finds nothing, warnings included."""
    outcome = helm("lint", str(CHART), "--strict")
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("values", [{}, EVERYTHING])
def test_rendering_twice_gives_the_same(values: dict[str, Any]) -> None:
    """Nothing is random or looked up, so that Argo CD sees no drift."""
    assert template("headrace", "ns", values).stdout == template("headrace", "ns", values).stdout
    for path in (CHART / "templates").iterdir():
        actions = " ".join(re.findall(r"\{\{(.*?)\}\}", path.read_text(), re.DOTALL))
        assert not re.findall(r"\b(lookup|rand\w+|uuidv4|gen[A-Z]\w+|now|date|Capabilities)\b", actions), path


def test_the_pod_is_restricted() -> None:
    """The pod meets the Pod Security Standard `restricted`, with a read-only root and a writable /tmp alone."""
    objects = render()
    pod, container = pod_of(objects), container_of(objects)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPort" in port for port in container["ports"])
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}]


def test_two_operators_stay_available() -> None:
    """Two replicas are spread, replaced without a gap, and not drained together."""
    objects = render()
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    own = spec["selector"]["matchLabels"]
    assert [each["labelSelector"]["matchLabels"] for each in pod_of(objects)["topologySpreadConstraints"]] == [own, own]
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert (budget["minAvailable"], budget["selector"]["matchLabels"]) == (1, own)
    assert of_kind(render({"replicas": 1}), "PodDisruptionBudget") == []


def test_a_given_selector_of_a_spread_is_kept() -> None:
    """A constraint with a labelSelector is passed on, and those without still get the operator's."""
    mine = {
        "maxSkew": 1,
        "topologyKey": "rack",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"a": "b"}},
    }
    bare = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    objects = render({"topologySpreadConstraints": [mine, bare]})
    first, second = pod_of(objects)["topologySpreadConstraints"]
    assert first == mine
    assert second["labelSelector"]["matchLabels"] == one(objects, "Deployment")["spec"]["selector"]["matchLabels"]


def test_what_the_operator_is_told() -> None:
    """Values become the flags of `headrace operator`; probes ask its port."""
    container = container_of(
        render({
            "watch": {"namespaces": ["a", "b"]},
            "operator": {
                "storageRoot": "s3://bucket/x", "storageClaim": "shared", "isolate": False, "egress": [{"to": []}],
                "reports": "Proxy", "gpuResource": "amd.com/gpu", "extraArgs": ["--more"],
            },
            "image": {"repository": "r/operator", "digest": f"sha256:{'0' * 64}"},
            "workerImage": {"repository": "r/worker", "tag": "9"},
            "metrics": {"port": 9000},
        })
    )  # fmt: skip
    assert container["image"] == f"r/operator@sha256:{'0' * 64}"
    assert container["command"] == ["headrace", "operator"]
    assert container["args"] == [
        "--namespace=a", "--namespace=b", "--name=headrace", "--lease-namespace=headrace-system", "--worker-image=r/worker:9",
        "--storage-root=s3://bucket/x", "--storage-claim=shared", "--no-isolate", '--egress=[{"to":[]}]',
        "--reports=Proxy", "--gpu-resource=amd.com/gpu", "--port=9000", "--log-format=json", "--more",
    ]  # fmt: skip
    assert container["ports"] == [{"name": "metrics", "containerPort": 9000}]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_images_follow_the_release() -> None:
    """Without a tag, both images have the version of the package."""
    container = container_of(render())
    assert container["image"] == f"headrace-operator:{headrace.__version__}"
    assert f"--worker-image=headrace-worker:{headrace.__version__}" in container["args"]


def test_what_people_add_arrives() -> None:
    """Variables, volumes, labels and annotations of one's own stand beside the chart's."""
    objects = render(
        EVERYTHING | {
            "podLabels": {"x": "y"}, "podAnnotations": {"p": "q"}, "priorityClassName": "system-cluster-critical",
            "imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"n": "m"}, "extraEnv": [{"name": "A", "value": "1"}],
            "extraEnvFrom": [{"secretRef": {"name": "s"}}], "extraVolumes": [{"name": "v", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
        }
    )  # fmt: skip
    for raw in objects:
        assert raw["metadata"]["labels"]["team"] == "a"
        assert raw["metadata"]["annotations"]["note"] == "b"
    template_metadata = one(objects, "Deployment")["spec"]["template"]["metadata"]
    assert template_metadata["labels"]["x"] == "y"
    assert template_metadata["annotations"] == {"note": "b", "p": "q"}
    pod, container = pod_of(objects), container_of(objects)
    assert (pod["priorityClassName"], pod["nodeSelector"], pod["imagePullSecrets"]) == (
        "system-cluster-critical",
        {"n": "m"},
        [{"name": "pull"}],
    )
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["envFrom"] == [{"secretRef": {"name": "s"}}]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp", "/v"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "v"]


@pytest.mark.parametrize("label", ["app.kubernetes.io/name", "app.kubernetes.io/instance"])
def test_added_labels_do_not_break_the_selector(label: str) -> None:
    """A label of the selector cannot be changed by commonLabels or podLabels."""
    objects = render({"commonLabels": {label: "other"}, "podLabels": {label: "other"}})
    spec = one(objects, "Deployment")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_definitions_are_those_of_crds() -> None:
    """Each CustomResourceDefinition has the spec of crds/, and is kept at uninstall and pruning unless crds.keep is false."""
    source = {
        raw["metadata"]["name"]: raw["spec"]
        for raw in (yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml"))
    }
    rendered = of_kind(render(), "CustomResourceDefinition")
    assert {raw["metadata"]["name"]: raw["spec"] for raw in rendered} == source
    kept = {"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false"}
    assert [raw["metadata"]["annotations"] for raw in rendered] == [kept] * len(source)
    for raw in of_kind(render({"crds": {"keep": False}}), "CustomResourceDefinition"):
        assert "annotations" not in raw["metadata"]
    assert of_kind(render({"crds": {"enable": False}}), "CustomResourceDefinition") == []


def test_nothing_outside_the_namespaces() -> None:
    """With namespaces named and both flags off, no object is cluster-scoped and none lies in a namespace that is not named."""
    values = {"watch": {"namespaces": ["a", "b"]}, "crds": {"enable": False}, "rbac": {"aggregate": False}} | EVERYTHING
    objects = render(values)
    assert not CLUSTER_SCOPED & {raw["kind"] for raw in objects}
    assert {raw["metadata"]["namespace"] for raw in objects} == {"a", "b", "headrace-system"}


def test_every_object_says_where_it_is() -> None:
    """Whatever is not cluster-scoped names its namespace, as `helm template | kubectl apply` needs it."""
    for raw in render(EVERYTHING):
        assert (raw["kind"] in CLUSTER_SCOPED) == ("namespace" not in raw["metadata"]), identity(raw)


def test_releases_do_not_collide() -> None:
    """Releases of one name in two namespaces, and of two names in one, share no object, whatever they watch."""
    seen: set[tuple[str, str, str]] = set()
    for watch in ([], ["team"]):
        values = EVERYTHING | {"crds": {"enable": False}, "watch": {"namespaces": watch}}
        seen = set()
        for release, namespace in [
            ("headrace", "x"),
            ("headrace", "y"),
            ("other", "x"),
            ("b-headrace", "a"),
            ("headrace", "a-b"),
        ]:
            names = [identity(raw) for raw in render(values, release, namespace)]
            assert len(set(names)) == len(names)
            assert not seen & set(names)
            seen |= set(names)


def test_names_that_look_like_numbers() -> None:
    """A namespace or a release that YAML could read as a number or a truth value stays a name."""
    for raw in render({"watch": {"namespaces": ["on", "1"]}} | EVERYTHING, "123", "456"):
        assert isinstance(raw["metadata"]["name"], str)
        assert isinstance(raw["metadata"].get("namespace", ""), str)
        assert raw["metadata"]["labels"]["app.kubernetes.io/instance"] == "123"


def test_only_needed_traffic() -> None:
    """In goes what asks the port; out goes DNS, the API server and the workers' reports."""
    policy = one(render(), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8080}]}]
    dns, api, workers = policy["egress"]
    assert [(each["protocol"], each["port"]) for each in dns["ports"]] == [("UDP", 53), ("TCP", 53)]
    assert {each["port"] for each in api["ports"]} == {443, 6443, 8443, 16443}
    assert workers["ports"] == [{"protocol": "TCP", "port": 8265}]
    assert workers["to"] == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "headrace"}}, "namespaceSelector": {}}
    ]
    narrow = {
        "watch": {"namespaces": ["a"]},
        "networkPolicy": {"apiServerCidrs": ["10.0.0.1/32"], "metricsFrom": [{"podSelector": {}}]},
    }
    policy = one(render(narrow), "NetworkPolicy")["spec"]
    assert policy["ingress"][0]["from"] == [{"podSelector": {}}]
    assert policy["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a"]}
    assert policy["egress"][2]["to"][0]["namespaceSelector"] == {"matchExpressions": [names]}
    proxied = one(render({"operator": {"reports": "Proxy"}}), "NetworkPolicy")["spec"]
    assert len(proxied["egress"]) == 2


def test_metrics_are_found() -> None:
    """The ServiceMonitor selects the Service, whose port is the operator's, and every alert reads that job."""
    objects = render(EVERYTHING)
    service, monitor = one(objects, "Service"), one(objects, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == container_of(objects)["ports"][0]["name"]
    (group,) = one(objects, "PrometheusRule")["spec"]["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        "HeadraceOperatorDown", "HeadraceNoLeader", "HeadraceReconcileErrors", "HeadraceQueueStuck",
    ]  # fmt: skip
    for rule in group["rules"]:
        assert f'namespace="headrace-system",job="{service["metadata"]["name"]}"' in rule["expr"]
        assert set(rule["annotations"]) == {"summary", "description"}


def test_alerts_read_what_the_operator_tells() -> None:
    """Every metric and every result of a pass that an alert names is one that the operator's code names."""
    told = "".join(path.read_text() for path in (ROOT / "operator" / "headrace").glob("*.py"))
    (group,) = one(render(EVERYTHING), "PrometheusRule")["spec"]["groups"]
    expressions = " ".join(rule["expr"] for rule in group["rules"])
    metrics = {name.removesuffix("_count") for name in re.findall(r"headrace_\w+", expressions)}
    results = {result for names in re.findall(r'result=~"([\w|]+)"', expressions) for result in names.split("|")}
    assert metrics == {"headrace_leader", "headrace_queue_length", "headrace_reconcile_seconds"}
    assert results == {"Error", "Unavailable"}
    assert [name for name in metrics | results if f'"{name}"' not in told] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"imagee": {}}, "'imagee' not allowed"),
        ({"image": {"tagg": "1"}}, "at '/image': additional properties 'tagg' not allowed"),
        ({"metrics": {"serviceMonitor": {"enabled": True}}}, "'enabled' not allowed"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"watch": {"namespaces": ["Team_A"]}}, "at '/watch/namespaces/0'"),
        ({"image": {"digest": "latest"}}, "at '/image/digest'"),
        ({"operator": {"storageRoot": "/data"}}, "write it like s3://bucket/headrace"),
        ({"metrics": {"prometheusRule": {"enable": True}}}, "set metrics.serviceMonitor.enable=true"),
        ({"metrics": {"serviceMonitor": {"enable": True}, "service": {"enable": False}}}, "set metrics.service.enable=true"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(values: dict[str, Any], words: str) -> None:
    """A value that the chart does not know or cannot use is refused with its place and the fact."""
    outcome = template("headrace", "ns", values)
    assert outcome.returncode != 0
    assert words in outcome.stderr


def test_notes_say_what_to_do_next() -> None:
    """After an install Helm prints the commands that follow."""
    outcome = helm("install", "headrace", str(CHART), "--namespace", "ns", "--dry-run=client", values={"watch": {"namespaces": ["team"]}})  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    notes = outcome.stdout.partition("NOTES:")[2]
    assert "kubectl rollout status -n ns deployment/headrace" in notes
    assert "kubectl apply -n team -f examples/quickstart" in notes
