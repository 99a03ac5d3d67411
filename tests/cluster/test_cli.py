"""The command line on a real cluster, with the operator as a process at a desk."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 90
START_SECONDS = 30

PIPELINE = """
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits}
spec:
  source: {sample: {name: Digits}}
  steps:
  - augment: {image: {column: image}}
  sink: {delta: {}}
  pods: {nodeSelector: {type: kwok}, tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]}
"""

TALKING_POD = """
apiVersion: v1
kind: Pod
metadata: {name: digits-r1a1-head, labels: {headrace.dev/uid: "UID"}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: IMAGE
    command: [python, -uc, "import time; [print('line', n) or time.sleep(1) for n in range(4)]"]
"""

NOBODY = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody}
"""

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(cluster: Cluster, namespace: str, tmp_path: Path) -> Typed:
    """Runs a command of `headrace` in a folder of its own."""

    def run(*words: str, kubeconfig: Path = cluster.kubeconfig) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words), env=environment(kubeconfig), cwd=tmp_path, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    (tmp_path / "one.yaml").write_text(PIPELINE)
    return run


@pytest.fixture
def operator(cluster: Cluster, defined: Cluster, namespace: str, tmp_path: Path) -> Iterator[None]:
    """An operator of the test's namespace, outside the cluster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = (
        "operator",
        "--namespace",
        namespace,
        "--lease-namespace",
        namespace,
        "--port",
        port,
        "--log-format",
        "text",
    )
    with (
        (tmp_path / "operator.log").open("wb") as log,
        subprocess.Popen(command(*words), env=environment(cluster.kubeconfig), stdout=log, stderr=log) as process,
    ):
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_SECONDS) == 0, (tmp_path / "operator.log").read_text()


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "headrace.cli", *words]


def environment(kubeconfig: Path) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(ROOT / "operator")}


def end_the_head(cluster: Cluster, namespace: str) -> None:
    """Has the run's head end with a report, once it runs."""
    deadline = time.monotonic() + START_SECONDS
    while not (heads := cluster.get("pods", "--namespace", namespace, "--selector=headrace.dev/role=head")["items"]):
        assert time.monotonic() < deadline, f"no head in {namespace} within {START_SECONDS} s"
        time.sleep(0.2)
    dataset = {"uri": "s3://lake/digits", "version": 0, "digest": "sha256:0", "records": 10, "splits": {"train": 10}}
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    report = {"phase": "Complete", "reason": "Complete", "time": now, "run": 1, "attempt": 1, "dataset": dataset}
    cluster.kubectl(
        "annotate", "pod", heads[0]["metadata"]["name"], "--namespace", namespace,
        "headrace.dev/kwok-exit-after=0s", f"headrace.dev/kwok-message={json.dumps(report)}",
    )  # fmt: skip


def pipeline(cluster: Cluster, namespace: str) -> Any:
    return cluster.get("datapipeline/digits", "--namespace", namespace)


def test_from_run_to_delete(cluster: Cluster, operator: None, namespace: str, typed: Typed, tmp_path: Path) -> None:
    """run applies and watches, status shows, an edit that may not be made has its line, delete leaves nothing."""
    if not cluster.has_node("kwok"):
        pytest.skip("this cluster has no fake node; HEADRACE_TEST_CLUSTER='--fake-nodes 4' starts some")
    assert typed("validate", "-n", namespace, "one.yaml").returncode == 0
    words = command("run", "-n", namespace, "--timeout", "60", "one.yaml")
    with subprocess.Popen(
        words, env=environment(cluster.kubeconfig), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        end_the_head(cluster, namespace)
        told = running.communicate(timeout=COMMAND_SECONDS)[0]
    assert running.returncode == 0, told
    assert "Complete: run 1 is complete (10 records (10 train))" in told
    assert typed("run", "-n", namespace, "one.yaml").stdout.count("Complete already") == 1
    assert "Complete" in typed("status", "-n", namespace).stdout
    assert "dataset version 0 (sha256:0) in s3://lake/digits" in typed("status", "-n", namespace, "dp/digits").stdout
    (tmp_path / "one.yaml").write_text(PIPELINE.replace("delta: {}", "delta: {uri: 's3://other/place'}"))
    refused = typed("validate", "-n", namespace, "one.yaml")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        2, "one.yaml:9: DataPipeline digits: spec.sink: sink is immutable; delete the object and create it anew",
    )  # fmt: skip
    deleted = typed("delete", "-n", namespace, "dp/digits")
    assert deleted.stdout.startswith(f"DataPipeline {namespace}/digits: deleted; its data stays in s3://lake/digits")
    assert typed("status", "-n", namespace).stdout.startswith(f"nothing is in the namespace {namespace}")


def test_ctrl_c_leaves_the_object(
    cluster: Cluster, defined: Cluster, namespace: str, typed: Typed, tmp_path: Path
) -> None:
    """SIGINT ends run with 130; the object stays."""
    words = command("run", "-n", namespace, "one.yaml")
    with subprocess.Popen(
        words, env=environment(cluster.kubeconfig), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert any("digits: created" in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert running.returncode == 130
    assert "the objects stay on the cluster" in rest
    left = cluster.get("datapipeline/digits", "--namespace", namespace, "--show-managed-fields")
    assert [one["manager"] for one in left["metadata"]["managedFields"]] == ["headrace-cli"]


def test_ctrl_c_where_no_node_has_room(
    cluster: Cluster, operator: None, namespace: str, typed: Typed, tmp_path: Path
) -> None:
    """run names the pod, the scheduler's fact and what to do, waits on, and ends with 130; delete ends the object."""
    (tmp_path / "one.yaml").write_text(PIPELINE.replace("type: kwok", "type: nowhere"))
    words = command("run", "-n", namespace, "one.yaml")
    with subprocess.Popen(
        words, env=environment(cluster.kubeconfig), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        fact = next(line for line in running.stdout if "Unschedulable" in line)
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
    assert running.returncode == 130
    for told in (fact, rest):
        assert f"DataPipeline {namespace}/digits: " in told
        assert "cannot be placed: 0/" in told
        assert "; add a node that has room for it, or ask for less in the spec" in told
    assert f"`headrace delete NAME -n {namespace}` ends one" in rest
    assert typed("delete", "-n", namespace, "dp/digits").returncode == 0


def test_what_another_manager_set_is_not_taken_from_it(
    cluster: Cluster, defined: Cluster, namespace: str, typed: Typed, tmp_path: Path
) -> None:
    """The same manifest is unchanged, though the server's defaults differ from what was written; another value is refused."""
    cluster.kubectl("apply", "--server-side", "--field-manager=argocd", "--namespace", namespace, "--filename=-", manifest=PIPELINE)  # fmt: skip
    assert typed("validate", "-n", namespace, "one.yaml").returncode == 0
    (tmp_path / "one.yaml").write_text(PIPELINE + "  seed: 3\n")
    assert typed("validate", "-n", namespace, "one.yaml").returncode == 0
    (tmp_path / "one.yaml").write_text(PIPELINE.replace("kwok}", "other}"))
    refused = typed("run", "-n", namespace, "one.yaml")
    assert refused.returncode == 2
    assert "spec.pods.nodeSelector.type: belongs to the field manager argocd" in refused.stderr
    assert "spec.steps" not in refused.stderr


def test_who_may_not_look_is_told_so(
    cluster: Cluster, defined: Cluster, namespace: str, typed: Typed, tmp_path: Path
) -> None:
    """A user without rights gets the API server's sentence and a remedy."""
    cluster.apply(namespace, NOBODY)
    token = cluster.kubectl("create", "token", "nobody", "--namespace", namespace).strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "config").chmod(0o600)
    refused = typed("status", "-n", namespace, kubeconfig=tmp_path / "config")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert 'cannot list resource "' in refused.stderr
    assert "ask the cluster's administrator for this right" in refused.stderr


def test_a_log_is_followed_to_its_end(
    cluster: Cluster, defined: Cluster, operator_image: str, namespace: str, typed: Typed
) -> None:
    """-f copies a real pod's lines as they come, and ends with the object; afterwards the log is printed whole."""
    cluster.apply(namespace, PIPELINE)
    uid = pipeline(cluster, namespace)["metadata"]["uid"]
    cluster.apply(namespace, TALKING_POD.replace("UID", uid).replace("IMAGE", operator_image))
    words = command("logs", "-n", namespace, "-f", "digits")
    with subprocess.Popen(
        words, env=environment(cluster.kubeconfig), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as following:
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(2)] == ["line 0\n", "line 1\n"]
        assert following.poll() is None
        cluster.kubectl(
            "patch", "datapipeline/digits", "--namespace", namespace, "--subresource=status", "--type=merge",
            '--patch={"status":{"phase":"Complete"}}',
        )  # fmt: skip
        assert following.stdout.read() == "line 2\nline 3\n"
    assert following.returncode == 0
    assert typed("logs", "-n", namespace, "digits").stdout == "".join(f"line {n}\n" for n in range(4))
