"""An object that was made before a rule existed: its status and an Event say so, and it is seen to once it is corrected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.api.meta import API_VERSION, Kind
from headrace.kube.resources import BY_KIND, EVENT
from tests.cluster.conftest import Cluster, define
from tests.cluster.scene import RECOVERY_SECONDS, Scene, scene
from tests.cluster.test_cluster_up import needs_node

Raw = dict[str, Any]
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/datapipelines.headrace.dev"


@pytest.fixture
def server(defined: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster with fake nodes, as the one of KUBECONFIG; its definitions are as they were afterwards."""
    needs_node(defined, "kwok")
    monkeypatch.setenv("KUBECONFIG", str(defined.kubeconfig))
    yield defined
    define(defined)


async def test_an_object_that_cannot_be_read(tmp_path: Path, server: Cluster) -> None:
    """Made while nothing was checked, it is told of when the rules hold again; what is beside it comes to its end."""
    async with scene(tmp_path) as stage:
        spec = server.get("customresourcedefinition", "datapipelines.headrace.dev")["spec"]
        spec["versions"][0]["schema"]["openAPIV3Schema"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
        await stage.patch(DEFINITION, {"spec": spec})
        await stage.until("an odd object is taken", lambda: _made(stage), RECOVERY_SECONDS)
        define(server)
        await stage.until("its status says so", lambda: _says(stage), RECOVERY_SECONDS)
        await stage.until("an Event says so", lambda: _told(stage), RECOVERY_SECONDS)
        good = (await stage.get(Kind.DATA_PIPELINE))["spec"]
        await stage.patch(
            BY_KIND["DataPipeline"].path(stage.space.name, "odd"), {"spec": {**good, "recovery": {"maxRestarts": 3}}}
        )
        await stage.settle()


async def _made(stage: Scene) -> bool:
    spec: Raw = {"source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}, "recovery": {"maxRestarts": -1}}
    body = {"apiVersion": API_VERSION, "kind": "DataPipeline", "metadata": {"name": "odd"}, "spec": spec}
    await stage.api.create(BY_KIND["DataPipeline"].path(stage.space.name), body)
    return True


async def _says(stage: Scene) -> bool:
    status = (await stage.get(Kind.DATA_PIPELINE, "odd")).get("status", {})
    said = {each["type"]: each for each in status.get("conditions", ())}
    return "spec.recovery.maxRestarts" in said.get("Stalled", {}).get("message", "")


async def _told(stage: Scene) -> bool:
    events = (await stage.api.get(EVENT.path(stage.space.name)))["items"] or ()
    return any(each["reason"] == "Unreadable" and each["regarding"]["name"] == "odd" for each in events)
