"""A real cluster for the tests of this folder: one that runs already, or one that they start and end.

HEADRACE_TEST_KUBECONFIG names a cluster to be used as it is. Without it, hack/cluster/up starts one with fake GPU nodes
on free ports; HEADRACE_TEST_CLUSTER holds other options for it, such as "--node". Images are built and imported into a
cluster that was started here; one that runs already is taken to have them.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.api.crds import PLURALS
from headrace.api.meta import GROUP, VERSION

HERE = Path(__file__).parent
HACK = HERE.parent.parent / "hack"
CRDS = HACK.parent / "crds"
SCRIPTS = HACK / "cluster"
FAKE_NODES = 4
PROGRAMS = {
    "--fake-nodes": "kwok",
    "--node": "coredns",
    "--network-policies": "network-policies",
    "--coscheduling": "coscheduling",
}
"""What an option of hack/cluster/up needs besides; all are minutes to build the first time."""
PORTS = 7  # the API server's, and the other components' after it
RELEASE = ("meta.helm.sh/release-name=headrace", "meta.helm.sh/release-namespace=headrace-system")
BUILD_SECONDS = 3600
IMAGE_SECONDS = 3600
DEFINED_SECONDS = 30
UP_SECONDS = 300
DOWN_SECONDS = 120
COMMAND_SECONDS = 60
LOOK_SECONDS = 0.2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder: each needs a cluster."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)


@dataclass(frozen=True)
class Cluster:
    """A cluster as its administrator sees it; `environment` leads the scripts to it if it was started here."""

    kubeconfig: Path
    kubectl_program: Path
    environment: Mapping[str, str] | None = None

    def kubectl(self, *arguments: str, manifest: str | None = None) -> str:
        """What kubectl prints; AssertionError with what it complains about."""
        done = subprocess.run(
            [self.kubectl_program, "--kubeconfig", self.kubeconfig, *arguments],
            input=manifest, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds, as JSON."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def apply(self, namespace: str, manifest: str) -> None:
        """Creates or changes objects."""
        self.kubectl("apply", "--namespace", namespace, "--filename=-", manifest=manifest)

    def wait_for_phase(self, namespace: str, pod: str, phase: str, seconds: float) -> Any:
        """The pod, once it is in the phase; AssertionError with its status when it is not in time."""
        deadline = time.monotonic() + seconds
        while (found := self.get("pod", pod, "--namespace", namespace))["status"].get("phase") != phase:
            assert time.monotonic() < deadline, f"pod {pod} is not {phase} within {seconds:g} s: {found['status']}"
            time.sleep(LOOK_SECONDS)
        return found

    def has_node(self, node_type: str) -> bool:
        """Whether there is a node of a type: kwok for fake ones, real for one that runs containers."""
        selector = "type=kwok" if node_type == "kwok" else "type!=kwok"
        return bool(self.get("nodes", f"--selector={selector}")["items"])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that all tests of a session share; each test has a namespace of its own."""
    cache = Path(os.environ.get("HEADRACE_CACHE", Path.home() / ".cache" / "headrace"))
    program = cache / "bin" / "kubectl"
    if given := os.environ.get("HEADRACE_TEST_KUBECONFIG"):
        yield Cluster(Path(given), program if program.exists() else Path(shutil.which("kubectl") or "kubectl"))
        return
    state = tmp_path_factory.mktemp("cluster") / "state"
    environment = {**os.environ, "HEADRACE_CLUSTER_STATE": str(state), "HEADRACE_CLUSTER_PORT": str(_free_ports())}
    options = shlex.split(os.environ.get("HEADRACE_TEST_CLUSTER", f"--fake-nodes {FAKE_NODES} --pod-groups"))
    wanted = [program for option, program in PROGRAMS.items() if option in options]
    _run([SCRIPTS / "build", "helm", "etcd", "kube", *wanted], environment, BUILD_SECONDS)
    try:
        _run([SCRIPTS / "up", *options], environment, UP_SECONDS)
        yield Cluster(state / "admin.kubeconfig", program, environment)
    finally:
        _run([SCRIPTS / "down"], environment, DOWN_SECONDS)
    assert not state.exists()


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """The operator's image, on the real node."""
    return _on_the_node(cluster, "operator")


@pytest.fixture(scope="session")
def worker_image(cluster: Cluster) -> str:
    """The workers' image, on the real node. The first time this takes gigabytes and a quarter of an hour."""
    return _on_the_node(cluster, "worker")


@pytest.fixture(scope="session")
def defined(cluster: Cluster) -> Cluster:
    """The cluster with our definitions, once their objects can be listed."""
    define(cluster)
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that lives as long as the test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def define(cluster: Cluster) -> None:
    """Has the definitions as they are in the repository hold, in Helm's name: a later `helm install` takes them for its own."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", f"--filename={CRDS}")
    names = [f"{plural}.{GROUP}" for plural in PLURALS.values()]
    cluster.kubectl("label", "crd", *names, "--overwrite", "app.kubernetes.io/managed-by=Helm")
    cluster.kubectl("annotate", "crd", *names, "--overwrite", *RELEASE)
    deadline = time.monotonic() + DEFINED_SECONDS
    for plural in PLURALS.values():
        # A definition that has just been changed is answered for a moment with 429.
        while not _is_served(cluster, plural):
            assert time.monotonic() < deadline, f"{plural} are not served within {DEFINED_SECONDS} s"
            time.sleep(LOOK_SECONDS)


def _on_the_node(cluster: Cluster, image: str) -> str:
    if not cluster.has_node("real"):
        pytest.skip("this cluster has no real node; HEADRACE_TEST_CLUSTER=--node starts one")
    if cluster.environment is not None:
        _run([HACK / "images", "--import", image], cluster.environment, IMAGE_SECONDS)
    return f"localhost/headrace-{image}:1"


def _is_served(cluster: Cluster, plural: str) -> bool:
    try:
        cluster.kubectl("get", "--raw", f"/apis/{GROUP}/{VERSION}/{plural}")
    except AssertionError:
        return False
    return True


def _run(command: list[str | Path], environment: Mapping[str, str], seconds: float) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stdout}{done.stderr}"


def _free_ports() -> int:
    """The first of as many neighbouring ports as a cluster has, all free now."""
    for first in range(16443, 26443, 100):
        if all(_is_free(first + offset) for offset in range(PORTS)):
            return first
    raise AssertionError("no seven neighbouring ports are free from 16443 on")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
