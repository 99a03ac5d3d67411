"""The Applications of examples/argocd under a real Argo CD: what it thinks of each state, what it heals and prunes.

The operator is a process of this machine with the arguments that the chart gives it; kwok plays the kubelet.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.api.meta import Kind
from headrace.api.run_report import ReportPhase
from tests import gen
from tests.cluster.argocd import ArgoCD, running, until
from tests.cluster.conftest import Cluster
from tests.cluster.crash import TOLERATION, report
from tests.cluster.router import answering
from tests.cluster.test_cluster_up import needs_node

ROOT = Path(__file__).parents[2]
ADDRESS = "https://git.example.com/headrace.git"
HEALTH = "charts/headrace/argocd/argocd-cm.yaml"
QUICKSTART = "examples/quickstart"
PARENT, OPERATOR, APPLICATION = "headrace-root", "headrace", "headrace-quickstart"
SYSTEM, SPACE = "headrace-system", "headrace-quickstart"
DEFINITIONS = "crd/datapipelines.headrace.dev"
CHILDREN = "pods,services,configmaps,deployments,networkpolicies,poddisruptionbudgets"
LABEL = "headrace.dev/uid"
REFRESHES = 3
STOP_SECONDS = 30
JOBS = {Kind.DATA_PIPELINE: "digits", Kind.TRAIN_JOB: "digits", Kind.TUNE_JOB: "digits-search"}
Raw = dict[str, Any]


def placed(manifest: Raw) -> Raw:
    """A manifest of ours whose pods go to fake nodes, of whatever cluster."""
    return {**manifest, "spec": {**manifest["spec"], "pods": TOLERATION}}


def quickstart(**spec: Any) -> dict[str, str | None]:
    """The quickstart's files, with more in the specs of the three jobs."""
    files: dict[str, str | None] = {}
    for path in sorted((ROOT / QUICKSTART).glob("*.yaml")):
        manifest = placed(yaml.safe_load(path.read_text()))
        if manifest["kind"] != Kind.INFERENCE_ENDPOINT:
            manifest["spec"] |= spec
        files[f"{QUICKSTART}/{path.name}"] = yaml.safe_dump(manifest)
    return files


def job(name: str, **spec: Any) -> dict[str, str | None]:
    """The file of a TrainJob of two workers or more that needs nothing else and fails at its first failure."""
    base = {
        "dataset": {"table": {"uri": "file:///lake/t", "version": 0}}, "model": {"builtin": "Perceptron"}, "epochs": 1,
        "workers": {"min": 2, "max": 4}, "recovery": {"maxRestarts": 0},
    }  # fmt: skip
    manifest = {
        "apiVersion": "headrace.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": base | spec,
    }
    return {f"{QUICKSTART}/{name}.yaml": yaml.safe_dump(placed(manifest))}


def project(url: str) -> dict[str, str | None]:
    """The chart and the examples as they are, but for the repository's address and where the operator's pods go."""
    files: dict[str, str | None] = {}
    for folder in ("charts/headrace", "examples/argocd"):
        for path in (each for each in (ROOT / folder).rglob("*") if each.is_file()):
            files[str(path.relative_to(ROOT))] = path.read_text().replace(ADDRESS, url)
    operator = "examples/argocd/apps/operator.yaml"
    application = yaml.safe_load(str(files[operator]))
    application["spec"]["source"]["helm"]["valuesObject"] |= TOLERATION
    return files | {operator: yaml.safe_dump(application)}


@pytest.fixture(scope="module")
def argocd(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCD]:
    """Argo CD that was handed the parent Application, as the examples' README says, and an operator that works."""
    needs_node(cluster, "kwok")
    leavings = "clusterroles,clusterrolebindings"
    if not cluster.kubectl("get", DEFINITIONS, "--ignore-not-found"):
        leavings += ",crds"
    folder = tmp_path_factory.mktemp("argocd")
    try:
        with running(cluster, folder) as found:
            found.repository.commit(project(found.repository.url) | quickstart(suspend=True))
            cluster.kubectl("patch", "configmap", "argocd-cm", "--namespace=argocd", f"--patch-file={ROOT / HEALTH}")
            hand_over(found)
            with operator(cluster, folder):
                yield found
    finally:
        cluster.kubectl("delete", "namespace", SYSTEM, SPACE, "--ignore-not-found", "--timeout=50s")
        cluster.kubectl("delete", leavings, "--selector=app.kubernetes.io/instance=headrace", "--timeout=50s")


def hand_over(argocd: ArgoCD) -> None:
    """Applies the parent, and waits until all Applications are synced."""
    parent = (ROOT / "examples/argocd/parent/headrace.yaml").read_text()
    argocd.cluster.kubectl("apply", "--filename=-", manifest=parent.replace(ADDRESS, argocd.repository.url))
    for name in (PARENT, OPERATOR, APPLICATION):
        argocd.synced(name)


@contextmanager
def operator(cluster: Cluster, folder: Path) -> Iterator[None]:
    """The operator outside the cluster, with the arguments and the rights that the chart gives it."""
    pods = cluster.get("deployment", "headrace", "--namespace", SYSTEM)["spec"]["template"]["spec"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("create", "token", pods["serviceAccountName"], "--namespace", SYSTEM, "--duration=2h")
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token.strip()}}]
    (folder / "operator.yaml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = f"--port={probe.getsockname()[1]}"
    command = [sys.executable, "-m", "headrace.cli", "operator", *pods["containers"][0]["args"], port]
    environment = {**os.environ, "KUBECONFIG": str(folder / "operator.yaml")}
    log = folder / "operator.log"
    with log.open("wb") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0, log.read_text()[-2000:]


def test_every_kind_passes_through_its_states(argocd: ArgoCD) -> None:
    """Jobs are Suspended, Progressing and Healthy, the endpoint Progressing and Healthy; in the end all is synced."""
    for kind, name in JOBS.items():
        argocd.wait_for_health(APPLICATION, kind, name, "Suspended")
    argocd.wait_for_health(APPLICATION, Kind.INFERENCE_ENDPOINT, "digits", "Progressing")
    argocd.repository.commit(quickstart())
    argocd.synced(APPLICATION)
    for kind, name in JOBS.items():
        argocd.wait_for_health(APPLICATION, kind, name, "Progressing")
    worse = gen.report(ReportPhase.COMPLETE, reason="Complete", model=gen.model("search-1", accuracy=0.5)).final_json()
    for kind, name in JOBS.items():
        end_the_head(argocd.cluster, kind, name, worse if kind == Kind.TUNE_JOB else report(kind))
        argocd.wait_for_health(APPLICATION, kind, name, "Healthy")
    (router,) = pods(argocd.cluster, "digits", Kind.INFERENCE_ENDPOINT, role="router")
    with answering(argocd.cluster, SPACE, router["metadata"]["name"]):
        argocd.wait_for_health(APPLICATION, Kind.INFERENCE_ENDPOINT, "digits", "Healthy")
        for name in (PARENT, OPERATOR, APPLICATION):
            until(f"the Application {name} is Healthy", partial(argocd.is_at_rest, name))
        stays_synced(argocd)


def test_what_the_operator_writes_is_no_drift(argocd: ArgoCD) -> None:
    """While a job runs, and after `kubectl scale`, nothing is out of sync, and no child is pruned."""
    add(argocd, job("scaled"))
    until("the job has its pods", lambda: len(pods(argocd.cluster, "scaled")) == 5)
    stays_synced(argocd)
    argocd.cluster.kubectl("scale", "trainjob/scaled", "--replicas=3", "--namespace", SPACE)
    until("the job has a worker less", lambda: len(pods(argocd.cluster, "scaled")) == 4)
    stays_synced(argocd)
    assert spec(argocd.cluster, "scaled")["workers"]["desired"] == 3


def test_what_is_in_git_is_changed_back(argocd: ArgoCD) -> None:
    """A field that Git has gets Git's value again; workers.desired, which it has not, stays as it was scaled."""
    add(argocd, job("edited"))
    argocd.cluster.kubectl("scale", "trainjob/edited", "--replicas=3", "--namespace", SPACE)
    edit = {"spec": {"recovery": {"maxRestarts": 9}}}
    argocd.cluster.kubectl(
        "patch", "trainjob/edited", "--namespace", SPACE, "--type=merge", f"--patch={json.dumps(edit)}"
    )
    until("self-healing is done", lambda: spec(argocd.cluster, "edited")["recovery"]["maxRestarts"] == 0)
    argocd.synced(APPLICATION)
    assert spec(argocd.cluster, "edited")["workers"]["desired"] == 3


def test_a_failed_job_is_degraded_until_git_starts_another_run(argocd: ArgoCD) -> None:
    """The failure's sentence is the health's, and an edit in Git makes the job Progressing again."""
    add(argocd, job("failing"))
    argocd.wait_for_health(APPLICATION, Kind.TRAIN_JOB, "failing", "Progressing")
    end_the_head(argocd.cluster, Kind.TRAIN_JOB, "failing", code=1)
    assert "exit code 1" in argocd.wait_for_health(APPLICATION, Kind.TRAIN_JOB, "failing", "Degraded")
    add(argocd, job("failing", epochs=2))
    argocd.wait_for_health(APPLICATION, Kind.TRAIN_JOB, "failing", "Progressing")
    until("a second run has its pods", lambda: "2" in runs(argocd.cluster, "failing"))


def test_an_edit_that_a_running_job_refuses(argocd: ArgoCD) -> None:
    """Argo CD names the field and says what to do, applies nothing, and goes on with the commit that does it."""
    add(argocd, job("refusing"))
    until("the job has its pods", lambda: len(pods(argocd.cluster, "refusing")) == 5)
    argocd.repository.commit(job("refusing", epochs=2))
    argocd.refresh(APPLICATION)
    words = "epochs cannot change while the job runs; set suspend: true first"
    until("the edit is refused in words", lambda: words in argocd.told(APPLICATION))
    assert spec(argocd.cluster, "refusing")["epochs"] == 1
    add(argocd, job("refusing", suspend=True))
    argocd.wait_for_health(APPLICATION, Kind.TRAIN_JOB, "refusing", "Suspended")
    add(argocd, job("refusing", epochs=2))
    until("a second run has its pods", lambda: "2" in runs(argocd.cluster, "refusing"))


def test_what_leaves_git_is_pruned_with_its_pods(argocd: ArgoCD) -> None:
    """A running job whose manifest is removed goes, and its pods with it; the others' children stay."""
    add(argocd, job("leaving"))
    until("the job has its pods", lambda: len(pods(argocd.cluster, "leaving")) == 5)
    own = f"{LABEL}={argocd.cluster.get('trainjob/leaving', '--namespace', SPACE)['metadata']['uid']}"
    others = children(argocd.cluster, f"{LABEL},{own.replace('=', '!=')}")
    add(argocd, dict.fromkeys(job("leaving")))
    until(
        "the job is gone",
        lambda: not argocd.cluster.kubectl("get", "trainjob/leaving", "--namespace", SPACE, "--ignore-not-found"),
    )
    until("its pods are gone", lambda: not children(argocd.cluster, own))
    assert children(argocd.cluster, LABEL) == others


def test_the_definitions_outlive_the_operators_application(argocd: ArgoCD) -> None:
    """Deleted with all that it made, it leaves the definitions and the objects, and may come back."""
    before = uids(argocd.cluster, "crds", "--selector=app.kubernetes.io/instance=headrace")
    assert len(before) == len(Kind)
    objects = uids(argocd.cluster, "headrace", "--namespace", SPACE)
    argocd.remove(PARENT)
    cascade = {"metadata": {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}}
    argocd.cluster.kubectl(
        "patch", "application", OPERATOR, "--namespace=argocd", "--type=merge", f"--patch={json.dumps(cascade)}"
    )
    argocd.remove(OPERATOR)
    assert not uids(
        argocd.cluster,
        "deployments,roles,clusterroles",
        "--namespace",
        SYSTEM,
        "--selector=app.kubernetes.io/instance=headrace",
    )
    assert uids(argocd.cluster, "crds", "--selector=app.kubernetes.io/instance=headrace") == before
    assert uids(argocd.cluster, "headrace", "--namespace", SPACE) == objects
    hand_over(argocd)


def add(argocd: ArgoCD, files: Mapping[str, str | None]) -> None:
    """Commits files, and waits until they are synced."""
    argocd.repository.commit(files)
    argocd.synced(APPLICATION)


def stays_synced(argocd: ArgoCD) -> None:
    """Argo CD looks several times and finds nothing to do, and all children are the same afterwards."""
    before, last = children(argocd.cluster, LABEL), argocd.last_sync(APPLICATION)
    assert before
    for _ in range(REFRESHES):
        status = argocd.refresh(APPLICATION)["status"]
        assert {each["status"] for each in (status["sync"], *status["resources"])} == {"Synced"}, status["resources"]
    assert argocd.last_sync(APPLICATION) == last
    assert children(argocd.cluster, LABEL) == before


def end_the_head(cluster: Cluster, kind: Kind, name: str, told: str = "", code: int = 0) -> None:
    """Has the head of a run end with a report, once it runs."""

    def head() -> str:
        heads = pods(cluster, name, kind, role="head")
        return next((pod["metadata"]["name"] for pod in heads if pod["status"].get("phase") == "Running"), "")

    found = until(f"the head of {kind} {name} runs", head)
    ending = {"exit-after": "0s", "exit-code": str(code), "message": told}
    words = [f"headrace.dev/kwok-{key}={value}" for key, value in ending.items()]
    cluster.kubectl("annotate", "pod", found, "--namespace", SPACE, *words)


def pods(cluster: Cluster, name: str, kind: Kind = Kind.TRAIN_JOB, **own: str) -> list[Raw]:
    """The pods of an object, of those that have other labels of ours."""
    wanted = {"kind": str(kind), "name": name, **own}
    selector = ",".join(f"headrace.dev/{label}={value}" for label, value in wanted.items())
    found: list[Raw] = cluster.get("pods", "--namespace", SPACE, "--selector", selector)["items"]
    return found


def runs(cluster: Cluster, name: str) -> set[str]:
    """The runs that a TrainJob has pods of."""
    return {pod["metadata"]["labels"]["headrace.dev/run"] for pod in pods(cluster, name)}


def spec(cluster: Cluster, name: str) -> Any:
    """The spec of a TrainJob as it is in the cluster."""
    return cluster.get("trainjob", name, "--namespace", SPACE)["spec"]


def children(cluster: Cluster, selector: str) -> dict[str, str]:
    """The UIDs of what the operator made, by name."""
    return uids(cluster, CHILDREN, "--namespace", SPACE, "--selector", selector)


def uids(cluster: Cluster, *arguments: str) -> dict[str, str]:
    """The UIDs of what `kubectl get` finds, by kind and name."""
    found = cluster.get(*arguments)["items"]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["uid"] for each in found}
