"""A run's PodGroup: whose it is, how many it needs, who joins it, and when an attempt needs another."""

from typing import Any

import pytest

from headrace.api.objects import RunObject
from headrace.api.status import Phase
from headrace.plan import labels
from headrace.plan.conditions import find
from headrace.plan.plan import plan
from headrace.plan.values import Create, Delete, Pod, PodPhase, Raw, Settings
from tests.gen import NOW, pipeline, pod, train_job, tune_job
from tests.plan.test_run import head, observed, with_status

WAITING = {"phase": PodPhase.PENDING, "reason": "Unschedulable"}
BOTH = {"gang": {"kubernetes": {}}, "workers": {"min": 2, "max": 4}}


def made(resource: RunObject, *, local: bool = False) -> list[Raw]:
    """What the first pass that acts makes, in order."""
    job = with_status(resource, phase=Phase.PENDING)
    actions = plan(observed(job, settings=Settings(local=local)), NOW).actions
    return [action.manifest for action in actions if isinstance(action, Create)]


def the_group(manifests: list[Raw]) -> Raw:
    (group,) = [manifest for manifest in manifests if manifest["kind"] == "PodGroup"]
    return group


@pytest.mark.parametrize(
    ("choice", "api_version", "spec"),
    [
        pytest.param("kubernetes", "scheduling.k8s.io/v1alpha2", {"schedulingPolicy": {"gang": {"minCount": 3}}}, id="Kubernetes' own"),
        pytest.param("coscheduling", "scheduling.x-k8s.io/v1alpha1", {"minMember": 3}, id="the plug-in's"),
    ],
)  # fmt: skip
def test_a_group_needs_the_head_and_the_fewest_workers(choice: str, api_version: str, spec: Raw) -> None:
    """It is the run's child, is made before the pods, and carries labels of our own alone."""
    manifests = made(train_job(gang={choice: {}}, workers={"min": 2, "max": 4}))
    group = the_group(manifests)
    kinds = [manifest["kind"] for manifest in manifests]
    assert kinds.index("PodGroup") < kinds.index("Pod")
    assert (group["apiVersion"], group["spec"]) == (api_version, spec)
    (owner,) = group["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("TrainJob", "uid-train")
    assert group["metadata"]["labels"][labels.ATTEMPT] == "1"


def test_every_pod_joins_its_group() -> None:
    """By a field of its spec for one API, by a label for the other; without a gang by neither."""
    for choice, found in (("kubernetes", field_of), ("coscheduling", label_of)):
        manifests = made(train_job(gang={choice: {}}, workers={"min": 1, "max": 3}))
        pods = [manifest for manifest in manifests if manifest["kind"] == "Pod"]
        assert [found(each) for each in pods] == [the_group(manifests)["metadata"]["name"]] * 4
    alone = [manifest for manifest in made(train_job()) if manifest["kind"] == "Pod"]
    assert [(field_of(each), label_of(each)) for each in alone] == [(None, None)] * 3


def field_of(manifest: Raw) -> Any:
    return manifest["spec"].get("schedulingGroup", {}).get("podGroupName")


def label_of(manifest: Raw) -> Any:
    return manifest["metadata"]["labels"].get("scheduling.x-k8s.io/pod-group")


@pytest.mark.parametrize(
    ("resource", "minimum"),
    [
        pytest.param(pipeline(gang={"kubernetes": {}}, workers={"min": 3, "max": 3}), 4, id="a DataPipeline's"),
        pytest.param(tune_job(gang={"kubernetes": {}}), 2, id="a TuneJob's, which starts with one worker"),
    ],
)
def test_all_three_kinds_have_gangs(resource: RunObject, minimum: int) -> None:
    """They are of one making."""
    assert the_group(made(resource))["spec"]["schedulingPolicy"]["gang"]["minCount"] == minimum


def test_local_mode_makes_no_group() -> None:
    """Its own scheduler forms gangs, by annotations."""
    manifests = made(train_job(**BOTH), local=True)
    assert "PodGroup" not in {manifest["kind"] for manifest in manifests}
    assert all(field_of(manifest) is None for manifest in manifests if manifest["kind"] == "Pod")


def seen_group(minimum: int, attempt: int = 1) -> Raw:
    """A PodGroup as it is remembered: its metadata."""
    job = with_status(train_job(**BOTH), attempt=attempt)
    name = the_group(made_of(job))["metadata"]["name"]
    own = {labels.RUN: "1", labels.ATTEMPT: str(attempt), labels.GANG_MINIMUM: str(minimum)}
    return {"apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup", "metadata": {"name": name, "uid": "g", "labels": own}}  # fmt: skip


def made_of(job: RunObject) -> list[Raw]:
    actions = plan(observed(job, head(attempt=job.status.attempt)), NOW).actions
    return [action.manifest for action in actions if isinstance(action, Create)]


def test_every_attempt_has_its_own_group() -> None:
    """The one of an earlier attempt goes."""
    old = seen_group(3)
    job = with_status(train_job(**BOTH), attempt=2, phase=Phase.PENDING)
    actions = plan(observed(job, children=(old,)), NOW).actions
    assert Delete("PodGroup", old["metadata"]["name"], "g") in actions
    names = {action.manifest["metadata"]["name"] for action in actions if isinstance(action, Create)}
    assert old["metadata"]["name"] not in names
    assert seen_group(3, attempt=2)["metadata"]["name"] in names


@pytest.mark.parametrize(
    ("minimum", "phase", "pods", "attempt"),
    [
        pytest.param(5, Phase.PENDING, [head(**WAITING), pod(**WAITING)], 2, id="all wait for more room than is asked for by now"),
        pytest.param(5, Phase.PENDING, [], 2, id="the pods are not even made"),
        pytest.param(3, Phase.PENDING, [head(**WAITING), pod(**WAITING)], 1, id="the group is as it should be"),
        pytest.param(5, Phase.PENDING, [head(phase=PodPhase.PENDING, bound=True), pod(**WAITING)], 1, id="it has its room and starts"),
        pytest.param(5, Phase.RUNNING, [head(), pod(), pod(index=1)], 1, id="it runs"),
    ],
)  # fmt: skip
def test_a_waiting_run_follows_workers_min(minimum: int, phase: Phase, pods: list[Pod], attempt: int) -> None:
    """No PodGroup is changed, so that a gang that waits for too many gets another attempt, which spends nothing."""
    job = with_status(train_job(**BOTH), phase=phase)
    status = plan(observed(job, *pods, children=(seen_group(minimum),)), NOW).status
    assert (status.attempt, status.restarts, status.disruptions, status.releases) == (attempt, 0, 0, 0)


@pytest.mark.parametrize(
    "echo",
    [
        "cannot be placed: pod group is unschedulable, waiting for minCount pods from a gang to be scheduled",
        "cannot be placed: 0/1 nodes are available: 1 optimistic rejection in PostFilter.",
    ],
)
def test_the_pod_that_lacks_something_is_told_of(echo: str) -> None:
    """Not those that wait for it, whatever their names; of them one is told of while there is no other."""
    job = with_status(train_job(**BOTH), phase=Phase.PENDING)
    held, lacking = (
        {**WAITING, "message": echo},
        {**WAITING, "message": "cannot be placed: 4 Insufficient nvidia.com/gpu"},
    )
    pods = head(**held), pod(**held), pod(index=1, **lacking)
    for seen, name in ((pods, "r1a1-worker-1"), (pods[:2], "r1a1-head")):
        ready = find(plan(observed(job, *seen), NOW).status.conditions, "Ready")
        assert ready is not None and ready.message.startswith(f"the pod {name} cannot be placed")
