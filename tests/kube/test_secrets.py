"""No secret is shown: a run's token is in its Secret alone, and what a user gave is in no log of the operator."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
import pytest

from headrace.api.meta import API_VERSION, Kind, ObjectKey
from headrace.api.run_report import ReportPhase
from headrace.kube.cluster import KubeCluster
from headrace.kube.resources import BY_KIND
from headrace.kube.tokens import token_for
from headrace.plan.values import Raw, Settings
from headrace.reconcile import reconcile
from headrace.reports import bearer, fetch
from tests import gen
from tests.kube.fake_api import FakeApi

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OWN_KEY = b"k" * 32
JOB = ObjectKey(Kind.TRAIN_JOB, "default", "digits")
MARKER = "marker-of-a-user"
SPEC: Raw = {
    "dataset": {"table": {"uri": "file:///lake/t", "version": 0}}, "model": {"builtin": "Perceptron"}, "epochs": 1,
    "workers": {"min": 1, "max": 1}, "recovery": {"maxRestarts": 0},
    "pods": {"environment": [{"name": "PASSWORD", "secret": {"name": "credentials", "key": "password"}}]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def every_log(caplog: pytest.LogCaptureFixture) -> None:
    """Debugging's lines too."""
    caplog.set_level(logging.DEBUG)


async def made(api: FakeApi, spec: Raw) -> KubeCluster:
    """A port on the API server, which has one TrainJob."""
    cluster = KubeCluster(api, Settings(operator_namespace="system"), OWN_KEY, lambda: True)  # type: ignore[arg-type]
    body = {"apiVersion": API_VERSION, "kind": "TrainJob", "metadata": {"name": "digits", "namespace": "default"}}
    cluster.saw(await api.create(BY_KIND["TrainJob"].path("default"), {**body, "spec": spec}))
    return cluster


def shown(api: FakeApi) -> Iterator[str]:
    """Every object but the Secrets."""
    return (json.dumps(each) for path, each in api.objects.items() if "/secrets/" not in path)


@pytest.mark.parametrize("phase", [ReportPhase.COMPLETE, ReportPhase.FAILED])
async def test_a_runs_token_is_in_its_secret_alone(phase: ReportPhase, caplog: pytest.LogCaptureFixture) -> None:
    """From the first pass to the run's end, well or badly: in no status, manifest, ConfigMap or line of the log."""
    api = FakeApi()
    cluster = await made(api, SPEC)
    await reconcile(cluster, JOB, NOW)
    await reconcile(cluster, JOB, NOW)
    (secret,) = [each for path, each in api.objects.items() if "/secrets/" in path]
    token = token_for(OWN_KEY, secret["metadata"]["ownerReferences"][0]["uid"], secret["metadata"]["name"])
    assert base64.b64decode(secret["data"]["token"]).decode() == token
    head = next(path for path in api.objects if path.endswith("-head") and "/pods/" in path)
    report = gen.report(phase, reason="ModelFailed", message="it raised", run=1, attempt=1, model=gen.model())
    ended = {"exitCode": int(phase == ReportPhase.FAILED), "message": report.final_json()}
    status = {
        "phase": "Failed" if ended["exitCode"] else "Succeeded",
        "containerStatuses": [{"name": "main", "state": {"terminated": ended}}],
    }
    cluster.saw({**await api.update(head, {**api.objects[head], "status": status}), "kind": "Pod"})
    await reconcile(cluster, JOB, NOW)
    assert api.objects[BY_KIND["TrainJob"].path("default", "digits")]["status"]["phase"] == phase
    for form in (token, secret["data"]["token"]):
        assert not [text for text in shown(api) if form in text]
        assert form not in caplog.text


async def test_an_object_that_cannot_be_read_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """An older or a newer version's object may hold anything; the log says which field is wrong, not what is in it."""
    unknown = {**SPEC, "pods": {"environment": [{"name": "PASSWORD", "value": MARKER, "newer": MARKER}]}}
    cluster = await made(FakeApi(), unknown)
    assert await cluster.observe(JOB) is None
    assert "newer" in caplog.text
    assert MARKER not in caplog.text


async def test_a_silent_pods_token_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Why there is no report is said without the token that it was asked with."""
    async with aiohttp.ClientSession() as session:
        assert await fetch(session, "digits-head", "http://127.0.0.1:1", bearer(MARKER)) is None
    assert "no report from digits-head" in caplog.text
    assert MARKER not in caplog.text
