"""Renders the chart with the real Helm that hack/cluster/build makes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "headrace"
SECONDS = 60
Raw = dict[str, Any]


def helm(*arguments: str, values: Raw | None = None) -> subprocess.CompletedProcess[str]:
    """The outcome of a Helm command with values on its standard input."""
    cache = Path(os.environ.get("HEADRACE_CACHE", Path.home() / ".cache" / "headrace"))
    binary = cache / "bin" / "helm"
    assert binary.exists(), f"{binary} is missing; run hack/cluster/build helm"
    command = [str(binary), *arguments, "--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def template(release: str, namespace: str, values: Raw | None = None) -> subprocess.CompletedProcess[str]:
    """The outcome of rendering a release."""
    return helm("template", release, str(CHART), "--namespace", namespace, values=values)


def render(values: Raw | None = None, release: str = "headrace", namespace: str = "headrace-system") -> list[Raw]:
    """The objects of a release."""
    outcome = template(release, namespace, values)
    assert outcome.returncode == 0, outcome.stderr
    return [raw for raw in yaml.load_all(outcome.stdout, Loader=yaml.CSafeLoader) if raw]


def of_kind(objects: list[Raw], kind: str) -> list[Raw]:
    """The objects of a kind."""
    return [raw for raw in objects if raw["kind"] == kind]


def one(objects: list[Raw], kind: str) -> Raw:
    """The only object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def identity(raw: Raw) -> tuple[str, str, str]:
    """What must be unique in a cluster."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]
