"""What a run's pods reach, what they may do, and that no secret of theirs is shown: on a node that enforces policies.

Needs a cluster with a real node that enforces NetworkPolicies, HEADRACE_TEST_CLUSTER="--node --network-policies"; a
cluster of HEADRACE_TEST_KUBECONFIG says so by the label headrace.dev/network-policies=enforced of its nodes.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster
from tests.cluster.installation import CHART, ROOT, SYSTEM, Helm, api_server, namespace_with_storage, values, wait_for

NAMESPACE = "isolation"
RUN_SECONDS = 600
STARTED_SECONDS = 120
CHANGED_SECONDS = 60
SCALED_SECONDS = 60
LOOK_SECONDS = 1.0
RAY, REPORT, HTTP, KUBELET = 6379, 8265, 8000, 10250
OURS = "--selector=app.kubernetes.io/managed-by=headrace"
MARKER = f"marker-{uuid.uuid4().hex}"
NOBODY = "bystander"

SECRET = f"""
apiVersion: v1
kind: Secret
metadata: {{name: credentials}}
stringData: {{password: {MARKER}}}
"""
ENVIRONMENT = [{"name": "PASSWORD", "secret": {"name": "credentials", "key": "password"}}]

PROBE = """
import concurrent.futures, json, socket, sys
def reaches(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return False
    return True
places = sys.argv[1:]
with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
    print(json.dumps(dict(zip(places, pool.map(reaches, places)))))
"""
"""Prints which of the places host:port take a connection within 2 s."""

LIMITS = """
import json, os, pathlib
def refusal(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError as error:
        return error.strerror
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "user": os.getuid(), "root": refusal("/x"), "home": refusal("/etc/x"),
    "account": os.path.exists("/var/run/secrets/kubernetes.io"),
    "capabilities": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no new privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
    "services": [name for name in os.environ if name.endswith("_SERVICE_HOST") and name != "KUBERNETES_SERVICE_HOST"],
}))
"""

SHOWN = """
import itertools, os, pathlib
secrets = [os.environ[name].encode() for name in ("PASSWORD", "HEADRACE_TOKEN")]
files = (path for path in pathlib.Path("/tmp").rglob("*") if path.is_file())
for path in itertools.chain(files, pathlib.Path("/proc").glob("[0-9]*/cmdline"), [pathlib.Path("/proc/self/environ")]):
    try:
        shown = any(secret in path.read_bytes() for secret in secrets)
    except OSError:
        continue
    if shown:
        print(path)
"""
"""Prints which of a pod's files and command lines show one of its secrets; its own variables do."""

BYSTANDER = f"""
apiVersion: v1
kind: Pod
metadata: {{name: {NOBODY}}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, runAsUser: 10001, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: main
    image: localhost/headrace-operator:1
    imagePullPolicy: Never
    command: [sleep, "3600"]
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"""
"""A pod that no policy selects."""


@dataclass(frozen=True)
class Scene:
    """A complete pipeline and job, a failed job, an endpoint, and two jobs, first and second, that run."""

    cluster: Cluster
    storage: Path

    def pods(self, name: str, role: str) -> list[Any]:
        """The pods of an object in a role."""
        selector = f"--selector=headrace.dev/name={name},headrace.dev/role={role}"
        found: list[Any] = self.cluster.get("pods", selector, "--namespace", NAMESPACE)["items"]
        return found

    def pod(self, name: str, role: str) -> str:
        """The name of the one such pod."""
        return str(self.pods(name, role)[0]["metadata"]["name"])

    def address(self, name: str, role: str) -> str:
        """The address of the one such pod."""
        return str(self.pods(name, role)[0]["status"]["podIP"])

    def run_in(self, pod: str, program: str, *arguments: str, namespace: str = NAMESPACE) -> str:
        """What a Python program prints in a pod."""
        return self.cluster.kubectl("exec", pod, "--namespace", namespace, "--", "python", "-c", program, *arguments)

    def reached(self, pod: str, places: Mapping[str, str], namespace: str = NAMESPACE) -> dict[str, bool]:
        """Which of the places, by name, a pod reaches."""
        answers = json.loads(self.run_in(pod, PROBE, *places.values(), namespace=namespace))
        return {name: answers[place] for name, place in places.items()}

    def closed(self) -> dict[str, str]:
        """The places that no pod of the first job may reach."""
        node, port = api_server(self.cluster)
        api = self.cluster.get("service", "kubernetes", "--namespace=default")["spec"]["clusterIP"]
        endpoint = self.cluster.get("service", "digits", "--namespace", NAMESPACE)["spec"]["clusterIP"]
        return {
            "the API server's Service": f"{api}:443",
            "the API server at its node": f"{node}:{port}",
            "the kubelet": f"{node}:{KUBELET}",
            "Ray of another run's head": f"{self.address('second', 'head')}:{RAY}",
            "the report of another run's head": f"{self.address('second', 'head')}:{REPORT}",
            "the endpoint's Service": f"{endpoint}:80",
            "the endpoint's router": f"{self.address('digits', 'router')}:{HTTP}",
            "the report of the endpoint's router": f"{self.address('digits', 'router')}:{REPORT}",
            "the endpoint's server": f"{self.address('digits', 'server')}:{HTTP}",
        }

    def own(self) -> dict[str, str]:
        """The places that the first job's workers need, by the names that they know them by."""
        (container,) = self.pods("first", "worker")[0]["spec"]["containers"]
        variables = {each["name"]: each.get("value", "") for each in container["env"]}
        names = self.cluster.get("service", "kube-dns", "--namespace=kube-system")["spec"]["clusterIP"]
        return {
            "Ray of the own head": variables["HEADRACE_HEAD_ADDRESS"],
            "the report of the own head": variables["HEADRACE_HEAD_REPORT_ADDRESS"],
            "the name server": f"{names}:53",
        }


def job(name: str, **spec: Any) -> dict[str, Any]:
    """A TrainJob with one small worker and the marker in its environment."""
    small = {"min": 1, "max": 1, "resources": {"cpu": "200m", "memory": "1500Mi"}}
    whole = {
        "dataset": {"pipeline": "digits"}, "model": {"builtin": "Perceptron"}, "epochs": 1, "workers": small,
        "pods": {"environment": ENVIRONMENT}, "recovery": {"maxRestarts": 0}, **spec,
    }  # fmt: skip
    return {"apiVersion": "headrace.dev/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}, "spec": whole}


def calling(module: str, **parameters: Any) -> dict[str, Any]:
    """A model that calls a function of Python's library, which returns no network."""
    return {"model": {"module": module, "parameters": parameters}}


def quickstart(file: str) -> dict[str, Any]:
    """A manifest of the quickstart with the marker in its pods' environment."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "quickstart" / file).read_text())
    manifest["spec"]["pods"] = {"environment": ENVIRONMENT}
    return manifest


def until(seconds: float, what: str, holds: Callable[[], bool]) -> None:
    """Looks until it holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(LOOK_SECONDS)


@pytest.fixture(scope="module")
def scene(
    cluster: Cluster, operator_image: str, worker_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The operator as it is installed, and its objects in a namespace that enforces the standard `restricted`."""
    if not cluster.get("nodes", "--selector=headrace.dev/network-policies=enforced")["items"]:
        pytest.skip("no node enforces NetworkPolicies; HEADRACE_TEST_CLUSTER='--node --network-policies' starts one")
    folder = tmp_path_factory.mktemp("isolation")
    helm = Helm(cluster)
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=values(cluster))
    try:
        with namespace_with_storage(cluster, NAMESPACE, folder):
            begin(cluster)
            yield Scene(cluster, folder / "storage")
            cluster.kubectl("delete", "dp,tj,ie", "--all", "--namespace", NAMESPACE, "--timeout=60s")
    finally:
        helm.run("uninstall", "headrace", "--wait", "--timeout=2m")


def begin(cluster: Cluster) -> None:
    """Makes the objects and waits until each is where the tests want it."""
    for manifest in (SECRET, BYSTANDER):
        cluster.apply(NAMESPACE, manifest)
    cluster.apply(NAMESPACE, json.dumps(quickstart("1-pipeline.yaml")))
    wait_for(cluster, NAMESPACE, "datapipeline/digits", "Complete", RUN_SECONDS)
    cluster.apply(NAMESPACE, json.dumps(quickstart("4-endpoint.yaml")))
    cluster.apply(NAMESPACE, json.dumps(job("trained", rollout={"endpoint": "digits"})))
    cluster.apply(NAMESPACE, json.dumps(job("failing", **calling("json:loads", s="{"))))
    wait_for(cluster, NAMESPACE, "trainjob/trained", "Complete", RUN_SECONDS)
    wait_for(cluster, NAMESPACE, "trainjob/failing", "Failed", RUN_SECONDS)
    wait_for(cluster, NAMESPACE, "inferenceendpoint/digits", "Ready", RUN_SECONDS)
    for name in ("first", "second"):
        cluster.apply(NAMESPACE, json.dumps(job(name, **calling("subprocess:call", args=["sleep", "900"]))))
    until(STARTED_SECONDS, "first and second run, and the first one's head listens", lambda: are_up(cluster))


def are_up(cluster: Cluster) -> bool:
    """Whether all pods of the two jobs run, and a worker reaches what it needs."""
    scene = Scene(cluster, Path())
    roles = [(name, role) for name in ("first", "second") for role in ("head", "worker")]
    if not all(runs(scene, name, role) for name, role in roles):
        return False
    return all(scene.reached(scene.pod("first", "worker"), scene.own()).values())


def runs(scene: Scene, name: str, role: str) -> bool:
    """Whether the one pod of an object in a role runs."""
    return [pod["status"]["phase"] for pod in scene.pods(name, role)] == ["Running"]


def everywhere(places: Mapping[str, str], *, reached: bool) -> dict[str, bool]:
    """The same answer for all places."""
    return dict.fromkeys(places, reached)


def test_workers_reach_their_own_head_and_names_and_nothing_else(scene: Scene) -> None:
    """Not the API server, not the kubelet, not another run, not an endpoint."""
    worker = scene.pod("first", "worker")
    assert scene.reached(worker, scene.own()) == everywhere(scene.own(), reached=True)
    assert scene.reached(worker, scene.closed()) == everywhere(scene.closed(), reached=False)


def test_heads_reach_nothing_else_either(scene: Scene) -> None:
    """The pod that tells the operator how the run fares has no way to the cluster of its own."""
    assert scene.reached(scene.pod("first", "head"), scene.closed()) == everywhere(scene.closed(), reached=False)


def test_others_reach_only_a_routers_requests(scene: Scene) -> None:
    """A pod without any policy of its own reaches the endpoint's Service, and neither reports nor servers nor Ray."""
    closed = scene.closed()
    open_to_all = {"the API server's Service", "the API server at its node", "the kubelet", "the endpoint's Service",
                   "the endpoint's router"}  # fmt: skip
    assert scene.reached(NOBODY, closed) == {name: name in open_to_all for name in closed}


def test_the_operator_reaches_reports_and_no_ray(scene: Scene) -> None:
    """The operator's pods reach the report port of a head and of a router, and nothing else that listens there."""
    (operator, *_) = scene.cluster.get("pods", "--namespace", SYSTEM)["items"]
    head, router = scene.address("first", "head"), scene.address("digits", "router")
    places = {f"{head}:{RAY}": False, f"{head}:{REPORT}": True, f"{router}:{HTTP}": False, f"{router}:{REPORT}": True}
    name = operator["metadata"]["name"]
    assert scene.reached(name, {place: place for place in places}, namespace=SYSTEM) == places


def test_pods_are_restricted_inside_and_out(scene: Scene) -> None:
    """No token of the API, no other Service's address, a read-only root, no user 0, no capability."""
    pods = scene.cluster.get("pods", OURS, "--namespace", NAMESPACE)["items"]
    assert {pod["metadata"]["labels"]["headrace.dev/role"] for pod in pods} >= {"head", "worker", "router", "server"}
    for pod in pods:
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
        assert not [volume for volume in spec["volumes"] if "projected" in volume or "secret" in volume]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
    for name, role in (("first", "worker"), ("first", "head"), ("digits", "router"), ("digits", "server")):
        assert json.loads(scene.run_in(scene.pod(name, role), LIMITS)) == {
            "user": 10001, "root": "Read-only file system", "home": "Read-only file system", "account": False,
            "capabilities": [0] * 5, "no new privileges": "1", "seccomp": "2", "services": [],
        }  # fmt: skip


def test_secrets_are_shown_nowhere(scene: Scene) -> None:
    """Neither a variable's value from a Secret nor a run's token is in an object, an event, a log or the storage."""
    places = dict(shown_by_the_cluster(scene.cluster))
    places |= {str(path): path.read_bytes() for path in scene.storage.rglob("*") if path.is_file()}
    assert any("failing" in place for place in places) and any(place.endswith("report.json") for place in places)
    secrets = secrets_of(scene.cluster)
    places["Secret credentials"] = scene.cluster.kubectl(
        "get", "secret", "credentials", "--namespace", NAMESPACE, "-oyaml"
    ).encode()
    showing = [place for place, text in places.items() if any(secret in text for secret in secrets)]
    assert showing == ["Secret credentials"]
    for role in ("head", "worker"):
        assert scene.run_in(scene.pod("first", role), SHOWN).split() == ["/proc/self/environ"]


def secrets_of(cluster: Cluster) -> list[bytes]:
    """The marker and the tokens of all runs, as they are and in base64."""
    found = cluster.get("secrets", OURS, "--namespace", NAMESPACE)["items"]
    tokens = [base64.b64decode(value) for secret in found for value in secret["data"].values()]
    assert len(tokens) == 6
    return [form for secret in (MARKER.encode(), *tokens) for form in (secret, base64.b64encode(secret))]


def shown_by_the_cluster(cluster: Cluster) -> Iterator[tuple[str, bytes]]:
    """Everything that can be read of the two namespaces without the right to read Secrets, by where it is."""
    kinds = (
        "dp,tj,tune,ie,pods,deployments,replicasets,services,endpointslices,configmaps,networkpolicies,"
        "poddisruptionbudgets,events,leases"
    )
    for namespace in (NAMESPACE, SYSTEM):
        for found in cluster.get(kinds, "--namespace", namespace)["items"]:
            yield f"{found['kind']} {found['metadata']['name']}", json.dumps(found).encode()
        for pod in cluster.get("pods", "--namespace", namespace)["items"]:
            name = pod["metadata"]["name"]
            yield f"log of {name}", cluster.kubectl("logs", name, "--namespace", namespace, "--all-containers").encode()


def test_without_policies_the_same_places_are_reached(scene: Scene) -> None:
    """The probe tells open from closed: what was closed opens without policies and closes with their return."""
    worker, closed = scene.pod("first", "worker"), scene.closed()
    operators = scene.cluster.get("deployments", "--namespace", SYSTEM)["items"][0]["metadata"]["name"]
    scene.cluster.kubectl("scale", f"deployment/{operators}", "--replicas=0", "--namespace", SYSTEM)
    until(SCALED_SECONDS, "no operator runs", lambda: not scene.cluster.get("pods", "--namespace", SYSTEM)["items"])
    scene.cluster.kubectl("delete", "networkpolicies", "--all", "--namespace", NAMESPACE)
    opened = everywhere(closed, reached=True)
    until(CHANGED_SECONDS, "all places are open", lambda: scene.reached(worker, closed) == opened)
    scene.cluster.kubectl("scale", f"deployment/{operators}", "--replicas=2", "--namespace", SYSTEM)
    until(CHANGED_SECONDS, "all places are closed", lambda: not any(scene.reached(worker, closed).values()))
