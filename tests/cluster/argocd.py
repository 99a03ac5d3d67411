"""Argo CD beside a test cluster, as hack/argocd/up starts it, and the repository that it syncs from."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.conftest import HACK, Cluster

SCRIPTS = HACK / "argocd"
UP_SECONDS = 1800
"""The first time, it is built."""
DOWN_SECONDS = 240
GIT_SECONDS = 30
SYNC_SECONDS = 120
LOOK_SECONDS = 0.2
REFRESH = "argocd.argoproj.io/refresh"
Found = TypeVar("Found")


def until(
    fact: str, look: Callable[[], Found | None], told: Callable[[], str] = str, seconds: float = SYNC_SECONDS
) -> Found:
    """The first thing that a look finds; AssertionError with the fact that did not come true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {fact} {told()}"
        time.sleep(LOOK_SECONDS)
    return found


class Repository:
    """A working copy, every commit of which is pushed."""

    def __init__(self, folder: Path, origin: Path, url: str) -> None:
        self._folder, self.url, self.revision = folder, url, ""
        folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=main", "--bare", str(origin))
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("remote", "add", "origin", str(origin))

    def commit(self, files: Mapping[str, str | None]) -> None:
        """Makes a revision with these files; one with None is removed."""
        for name, text in files.items():
            path = self._folder / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        person = ("-c", "user.name=a person", "-c", "user.email=person@example.com")
        self._git(*person, "commit", "--quiet", "--message", f"Change {len(files)} files")
        self._git("push", "--quiet", "origin", "main")
        self.revision = self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self._folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout


@dataclass(frozen=True)
class ArgoCD:
    """Argo CD, its repository and its cluster."""

    cluster: Cluster
    repository: Repository

    def application(self, name: str) -> Any:
        """The Application as it is now; empty if there is none."""
        return json.loads(
            self.cluster.kubectl(
                "get", "application", name, "--namespace=argocd", "--ignore-not-found", "--output=json"
            )
            or "{}"
        )

    def refresh(self, name: str) -> Any:
        """The Application after Argo CD has looked at Git and at the cluster once more."""
        self.cluster.kubectl("annotate", "application", name, "--namespace=argocd", "--overwrite", f"{REFRESH}=normal")

        def looked() -> Any:
            found = self.application(name)
            return found if REFRESH not in found["metadata"].get("annotations", {}) else None

        return until(f"Argo CD refreshed the Application {name}", looked)

    def synced(self, name: str) -> None:
        """Waits until an Application is there and synced to the last revision."""
        until(f"there is an Application {name}", lambda: self.application(name))
        self.refresh(name)

        def done() -> bool:
            found = self.application(name)
            sync = found.get("status", {}).get("sync", {})
            return "operation" not in found and (sync.get("status"), sync.get("revision")) == (
                "Synced",
                self.repository.revision,
            )

        until(f"the Application {name} is synced", done, lambda: self.told(name))

    def is_at_rest(self, name: str) -> bool:
        """Whether an Application is synced and healthy."""
        status = self.application(name)["status"]
        return (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy")

    def last_sync(self, name: str) -> str:
        """When the last sync of an Application was started."""
        return str(self.application(name)["status"]["operationState"]["startedAt"])

    def told(self, name: str) -> str:
        """What stands in the way of an Application, and what its last sync said."""
        status = self.application(name).get("status", {})
        return json.dumps([status.get("conditions"), status.get("operationState")])

    def remove(self, *names: str) -> None:
        """Deletes Applications, one after the other, and waits until they are gone."""
        for name in names:
            self.cluster.kubectl("delete", "application", name, "--namespace=argocd", "--timeout=50s")

    def health(self, application: str, kind: str, name: str) -> tuple[str, str]:
        """What Argo CD thinks of an object from Git: the status and the sentence."""
        for each in self.application(application).get("status", {}).get("resources", ()):
            if (each["kind"], each["name"]) == (kind, name):
                found = each.get("health", {})
                return found.get("status", ""), found.get("message", "")
        return "", ""

    def wait_for_health(self, application: str, kind: str, name: str, status: str) -> str:
        """The sentence that comes with a health, once it is this one."""
        look = partial(self.health, application, kind, name)
        until(f"{kind} {name} is {status}", lambda: look()[0] == status, lambda: str(look()))
        return look()[1]


@contextmanager
def running(cluster: Cluster, folder: Path) -> Iterator[ArgoCD]:
    """Argo CD with an empty repository; at the end it is gone from the machine and the cluster."""
    state = folder / "state"
    environment = {**os.environ, "HEADRACE_ARGOCD_STATE": str(state), "KUBECONFIG": str(cluster.kubeconfig)}
    try:
        _run(SCRIPTS / "up", environment, UP_SECONDS)
        url = f"{(state / 'git.url').read_text().strip()}/headrace.git"
        yield ArgoCD(cluster, Repository(folder / "copy", state / "repositories" / "headrace.git", url))
    finally:
        _run(SCRIPTS / "down", environment, DOWN_SECONDS)
    assert not state.exists()


def _run(script: Path, environment: Mapping[str, str], seconds: float) -> None:
    done = subprocess.run(
        [script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{script} failed: {done.stdout}{done.stderr}"
