"""The examples of text and sound as they are, on a real node: every object to its end, and every endpoint answers.

That of images is the quickstart's. Needs a cluster with a real node, HEADRACE_TEST_CLUSTER=--node, and espeak-ng for sound.
"""

import base64
import importlib.util
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster
from tests.cluster.installation import CHART, ROOT, USER, Helm, namespace_with_storage, values, wait_for

RUN_SECONDS = 900
SOUNDS = "file:///tmp/headrace-sound/digits"
WORDS = ("zero", "one", "two")


@pytest.fixture
def examples(cluster: Cluster, operator_image: str, worker_image: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The operator, a namespace for the examples, and the folder that is its storage."""
    helm = Helm(cluster)
    helm.run("install", "headrace", str(CHART), "--create-namespace", "--wait", "--timeout=2m", values=values(cluster))
    try:
        with namespace_with_storage(cluster, "examples", tmp_path) as name:
            yield name, tmp_path / "storage"
            cluster.kubectl("delete", "dp,tj,ie", "--all", "--namespace", name, "--timeout=90s")
    finally:
        helm.run("uninstall", "headrace", "--wait", "--timeout=2m")


def test_text(cluster: Cluster, examples: tuple[str, Path]) -> None:
    """Python's own sources: one endpoint says which package a text is of, the other goes on with it."""
    namespace, _ = examples
    run(cluster, namespace, manifests("text"))
    (said,) = answer(
        cluster, namespace, "which-package", ["import asyncio\n\nasync def main():\n    await asyncio.sleep(1)\n"]
    )
    assert said["label"]
    (written,) = answer(cluster, namespace, "python-writer", [{"text": "def ", "maxTokens": 8}])
    assert written["text"]


@pytest.mark.skipif(
    not shutil.which("espeak-ng"), reason="sound has to be spoken by espeak-ng; apt-get install espeak-ng"
)
def test_sound(cluster: Cluster, examples: tuple[str, Path]) -> None:
    """Spoken digits: broken files are in the quarantine, and the endpoint knows a digit that it hears."""
    namespace, storage = examples
    folder = storage / "sounds"
    speak(folder)
    given = yaml.safe_load_all(
        yaml.safe_dump_all(manifests("sound")).replace(SOUNDS, "file:///var/lib/headrace/sounds")
    )
    run(cluster, namespace, list(given))
    records = cluster.get("datapipeline/spoken-digits", "--namespace", namespace)["status"]["records"]
    assert records["quarantined"] == 3
    for word in WORDS:
        content = base64.b64encode((folder / word / "en_gb_m4-130-40.wav").read_bytes()).decode()
        (said,) = answer(cluster, namespace, "spoken-digits", [content])
        assert said["label"] == word


def manifests(example: str) -> list[dict[str, Any]]:
    """All objects of an example."""
    return [
        each
        for file in sorted((ROOT / "examples" / example).glob("*.yaml"))
        for each in yaml.safe_load_all(file.read_text())
    ]


def run(cluster: Cluster, namespace: str, objects: list[dict[str, Any]]) -> None:
    """Applies them, and waits until jobs are complete and endpoints serve."""
    cluster.apply(namespace, yaml.safe_dump_all(objects))
    for each in sorted(objects, key=lambda each: each["kind"] == "InferenceEndpoint"):
        condition = "Ready" if each["kind"] == "InferenceEndpoint" else "Complete"
        wait_for(cluster, namespace, f"{each['kind'].lower()}/{each['metadata']['name']}", condition, RUN_SECONDS)


def answer(cluster: Cluster, namespace: str, endpoint: str, instances: list[Any]) -> list[dict[str, Any]]:
    """What an endpoint predicts, asked through its Service."""
    service = cluster.get(f"service/{endpoint}", "--namespace", namespace)["spec"]
    url = f"http://{service['clusterIP']}:{service['ports'][0]['port']}/predict"
    request = urllib.request.Request(
        url, json.dumps({"instances": instances}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        found: list[dict[str, Any]] = json.loads(response.read())["predictions"]
    return found


def speak(folder: Path) -> None:
    """Has the example's own script speak the digits into a folder that pods can read."""
    script = importlib.util.spec_from_file_location("speak_digits", ROOT / "examples" / "sound" / "speak_digits.py")
    assert script is not None and script.loader is not None
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    shutil.copytree(module.FOLDER, folder)
    for each in (folder, *folder.rglob("*")):
        shutil.chown(each, USER, USER)
