"""The port on an API server: what is remembered, what is written, what a conflict is, and that only a holder writes."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest

from headrace.api.meta import API_VERSION, Kind, ObjectKey
from headrace.cluster import Conflict
from headrace.kube.client import NotFound, Refused, Stale
from headrace.kube.cluster import KubeCluster, NotLeader
from headrace.kube.resources import BY_KIND, SECRET
from headrace.kube.tokens import token_for
from headrace.plan import labels
from headrace.plan.conditions import find
from headrace.plan.values import Apply, Create, Delete, DeleteSelf, Refusal, Settings
from headrace.reconcile import reconcile
from tests.kube.fake_api import FakeApi, written

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET_KEY = b"k" * 32
JOB = ObjectKey(Kind.TRAIN_JOB, "default", "digits")
ENDPOINT = ObjectKey(Kind.INFERENCE_ENDPOINT, "default", "digits")
SPEC = {
    "dataset": {"table": {"uri": "file:///lake/t", "version": 0}}, "model": {"builtin": "Perceptron"}, "epochs": 1,
    "workers": {"min": 2, "max": 2}, "rollout": {"endpoint": "digits"},
}  # fmt: skip


class World:
    """A port on a fake API server with one TrainJob."""

    def __init__(self) -> None:
        self.api = FakeApi()
        self.holds = True
        self.cluster = KubeCluster(self.api, Settings(), SECRET_KEY, lambda: self.holds)

    async def make(self, kind=Kind.TRAIN_JOB, spec=SPEC, name="digits"):
        body = {
            "apiVersion": API_VERSION,
            "kind": str(kind),
            "metadata": {"name": name, "namespace": "default"},
            "spec": spec,
        }
        raw = await self.api.create(BY_KIND[str(kind)].path("default"), body)
        self.cluster.saw(raw)
        return raw

    async def pass_over(self, key=JOB, now=NOW):
        return await reconcile(self.cluster, key, now)

    async def run(self):
        """Passes until the job has all its children, and its pods run."""
        for _ in range(2):
            await self.pass_over()
        for path in [path for path in self.api.objects if "/pods/" in path]:
            await self.start(path)
        for _ in range(3):
            await self.pass_over()

    async def start(self, path):
        body = {**self.api.objects[path], "status": {"phase": "Running"}}
        self.cluster.saw({**await self.api.update(path, body), "kind": "Pod"})
        await asyncio.sleep(0)

    async def edit(self, spec):
        path = BY_KIND["TrainJob"].path("default", "digits")
        self.cluster.saw(await self.api.update(path, {**self.api.objects[path], "spec": spec}))

    async def condition(self, name):
        """The condition of the job, or None."""
        return find((await self.cluster.observe(JOB)).object.status.conditions, name)

    def written(self, *verbs):
        return [path.rpartition("/")[2] for verb, path in self.api.writes() if verb in verbs]


@pytest.fixture
async def world():
    made = World()
    await made.make()
    return made


async def test_a_job_gets_its_children_once(world):
    """One pass saves the start, the next makes everything, and a third has nothing to do, watches or none."""
    assert await world.pass_over() == 0.0
    assert world.api.writes()[1:] == [
        ("update", "/apis/headrace.dev/v1alpha1/namespaces/default/trainjobs/digits/status")
    ]
    await world.pass_over()
    assert sorted(world.written("create")[1:]) == sorted(
        ["configmaps", "secrets", "networkpolicies", "pods", "pods", "pods"]
    )
    before = len(world.api.writes())
    await world.pass_over()
    assert len(world.api.writes()) == before


@pytest.mark.parametrize(("phase", "runs"), [("Running", True), ("Failed", False)])
async def test_what_runs_is_told_with_its_status(world, phase, runs):
    """For the operator's metrics: nobody straggles in a run that has ended."""
    status = {"phase": phase, "stragglers": [{"pod": "w-1", "stepSeconds": 0.3, "medianStepSeconds": 0.1}]}
    path = BY_KIND["TrainJob"].path("default", "digits")
    job = {**world.api.objects[path], "kind": "TrainJob", "status": status}
    world.cluster.saw({**job, "metadata": {**job["metadata"], "resourceVersion": "1000"}})
    assert list(world.cluster.running()) == ([(JOB, status)] if runs else [])


async def test_secrets_are_written_and_never_read(world):
    """The token is derived from the operator's key, so that another replica knows it without reading it."""
    await world.pass_over()
    await world.pass_over()
    assert not [path for verb, path in world.api.requests if verb in ("get", "list") and "secrets" in path]
    (made,) = [each for path, each in world.api.objects.items() if "/secrets/" in path]
    uid = (await world.cluster.observe(JOB)).object.metadata.uid
    expected = token_for(SECRET_KEY, uid, made["metadata"]["name"])
    assert base64.b64decode(made["data"]["token"]).decode() == expected
    observed = await world.cluster.observe(JOB)
    assert all("data" not in child for child in observed.children)
    pod = next(entry for entry in world.cluster.pod_entries())
    assert world.cluster.token(pod) == expected


async def test_another_replica_makes_nothing_twice(world):
    """It knows nothing of the Secret that the first one made; that it is there already is success."""
    await world.pass_over()
    await world.pass_over()
    other = KubeCluster(world.api, Settings(), SECRET_KEY, lambda: True)
    for path, raw in world.api.objects.items():
        if "/secrets/" not in path:
            other.saw({**raw, "kind": next(kind for kind, each in BY_KIND.items() if f"/{each.plural}/" in path)})
    before = dict(world.api.objects)
    await reconcile(other, JOB, NOW)
    assert world.api.objects.keys() == before.keys()
    assert world.written("create")[-1] == "secrets"


async def test_who_may_not_write_writes_nothing(world):
    """Neither a status nor a child."""
    world.holds = False
    before = world.api.writes()
    with pytest.raises(NotLeader):
        await world.pass_over()
    observed = await world.cluster.observe(JOB)
    for action in (DeleteSelf("u"), Delete("Pod", "p", "u"), Create({"kind": "Secret", "metadata": {"name": "s"}})):
        with pytest.raises(NotLeader):
            await world.cluster.apply(observed, action)
    assert world.api.writes() == before


async def test_an_object_that_changed_is_a_conflict(world):
    """In what is remembered, also when there is nothing to write; and on the server, where memory is behind."""
    observed = await world.cluster.observe(JOB)
    path = BY_KIND["TrainJob"].path("default", "digits")
    newer = await world.api.update(path, {**world.api.objects[path], "spec": {**SPEC, "epochs": 2}})
    with pytest.raises(Conflict):
        await world.cluster.save_status(observed, observed.object.status.model_copy(update={"run": 1}))
    world.cluster.saw(newer)
    with pytest.raises(Conflict):
        await world.cluster.save_status(observed, observed.object.status)


async def test_an_object_that_is_gone_is_a_conflict_and_then_nothing(world):
    """The write finds out; the next look finds nothing."""
    observed = await world.cluster.observe(JOB)
    del world.api.objects[BY_KIND["TrainJob"].path("default", "digits")]
    with pytest.raises(Conflict):
        await world.cluster.save_status(observed, observed.object.status.model_copy(update={"run": 1}))
    assert await world.cluster.observe(JOB) is None
    assert await world.pass_over() is None


async def test_what_is_there_belongs_to_somebody_else(world):
    """A pod of another attempt, and a Service that a user made under an endpoint's name, are left as they are."""
    observed = await world.cluster.observe(JOB)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "labels": {labels.ATTEMPT: "2"}, "ownerReferences": [{"uid": "u"}]}}  # fmt: skip
    await world.api.create(
        BY_KIND["Pod"].path("default"), {**pod, "metadata": {**pod["metadata"], "labels": {labels.ATTEMPT: "1"}}}
    )
    with pytest.raises(Conflict, match="Pod p is there already"):
        await world.cluster.apply(observed, Create(pod))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "digits", "namespace": "default"}}
    theirs = await world.api.create(BY_KIND["Service"].path("default"), service)
    with pytest.raises(Conflict, match="belongs to somebody else; delete or rename it"):
        await world.cluster.apply(
            observed, Apply({**service, "metadata": {**service["metadata"], "ownerReferences": [{"uid": "u"}]}})
        )
    assert world.api.objects[BY_KIND["Service"].path("default", "digits")] == theirs


async def test_deleting_what_is_gone_is_success(world):
    """Nothing there, or another object by that name: both are what was wanted. A Secret goes with its owner."""
    observed = await world.cluster.observe(JOB)
    await world.cluster.apply(observed, Delete("Pod", "gone", "u1"))
    await world.api.create(BY_KIND["Pod"].path("default"), {"metadata": {"name": "p", "uid": "u2"}})
    await world.cluster.apply(observed, Delete("Pod", "p", "u1"))
    assert BY_KIND["Pod"].path("default", "p") in world.api.objects
    await world.cluster.apply(observed, Delete(SECRET.kind, "token", "u1"))
    assert ("delete", SECRET.path("default", "token")) not in world.api.requests


async def test_a_refused_child_stands_in_a_condition_until_it_is_made(world):
    """With the server's own sentence; it is asked for again after pauses that grow, and the others are made meanwhile."""
    world.api.refusals["pods"] = Refused(403, "Forbidden", "pods is forbidden: exceeded quota: small")
    for _ in range(3):
        await world.pass_over()
    condition = await world.condition("Refused")
    assert (condition.status, condition.reason) == ("True", "QuotaExceeded")
    assert (
        "Pod" in condition.message
        and "and 2 more" in condition.message
        and "exceeded quota: small" in condition.message
    )
    assert "networkpolicies" in world.written("create")
    asked = world.written("create").count("pods")
    await world.pass_over()
    assert world.written("create").count("pods") == asked
    for seconds, more in ((1, 3), (2, 0), (3, 3), (5, 0), (7, 3)):
        await world.pass_over(now=NOW + timedelta(seconds=seconds))
        assert world.written("create").count("pods") == asked + more
        asked += more
    world.api.refusals.clear()
    for seconds in (20, 21):
        await world.pass_over(now=NOW + timedelta(seconds=seconds))
    assert len(list(world.cluster.pod_entries())) == 3
    assert await world.condition("Refused") is None


async def test_a_rule_that_only_a_person_can_meet_stalls_the_run(world):
    """What is refused first holds back what rests on it; nothing is lost of what may go on."""
    world.api.refusals["configmaps"] = Refused(422, "Invalid", "admission policy: no ConfigMaps here")
    for _ in range(3):
        await world.pass_over()
    assert (await world.condition("Stalled")).reason == "Invalid"
    assert not list(world.cluster.pod_entries())


async def test_a_refusal_is_forgotten_with_what_was_wanted(world):
    """Where the spec asks for less, nothing is refused any more."""
    await world.pass_over()
    await world.pass_over()
    job = {**SPEC, "workers": {"min": 2, "max": 3}}
    await world.edit(job)
    world.api.refusals["pods"] = Refused(403, "Forbidden", "exceeded quota")
    for _ in range(3):
        await world.pass_over()
    assert await world.condition("Refused")
    await world.edit(SPEC)
    for _ in range(3):
        await world.pass_over()
    assert await world.condition("Refused") is None


async def test_a_delete_in_conflict_is_no_deletion(world):
    """A pod that is there after all stays remembered, so that nothing takes its place."""
    await world.pass_over()
    await world.pass_over()
    observed = await world.cluster.observe(JOB)
    pod = observed.pods[0]
    world.api.failure = None
    deleted = world.api.delete

    async def conflict(*_, **__):
        raise Stale(409, "Conflict", "the object is being written")

    world.api.delete = conflict
    with pytest.raises(Conflict):
        await world.cluster.apply(observed, Delete("Pod", pod.name, pod.uid))
    assert pod in (await world.cluster.observe(JOB)).pods
    world.api.delete = deleted


async def test_a_pod_whose_end_is_told_before_its_deletion_is_answered_stays_gone(world):
    """The answer has the pod as it was, and would have it wait for the next sweep."""
    await world.run()
    observed = await world.cluster.observe(JOB)
    pod = observed.pods[0]
    raw = {**world.api.objects[BY_KIND["Pod"].path("default", pod.name)], "kind": "Pod"}
    going = {**raw["metadata"], "deletionTimestamp": "2026-01-01T13:00:00Z", "resourceVersion": "100000"}
    left = {**raw, "metadata": going}

    async def answer(*_, **__):
        world.cluster.gone(left)
        return left

    world.api.delete = answer
    await world.cluster.apply(observed, Delete("Pod", pod.name, pod.uid))
    assert pod.name not in {each.name for each in (await world.cluster.observe(JOB)).pods}


@pytest.mark.parametrize("kind", ["Service", "ConfigMap", "NetworkPolicy"])
async def test_a_child_that_somebody_changed_is_put_right(world, kind):
    """Once: what is left of the change afterwards is not the operator's."""
    await world.run()
    child = next(each for each in (await world.cluster.observe(JOB)).children if each["kind"] == kind)
    path = BY_KIND[kind].path("default", child["metadata"]["name"])
    raw = world.api.objects[path]
    entry = written("kubectl-edit", {"f:ports": {}}, "2026-01-01T13:00:00Z")
    metadata = {**raw["metadata"], "managedFields": [entry]}
    world.cluster.saw({**await world.api.update(path, {**raw, "metadata": metadata, "spec": "odd"}), "kind": kind})
    await world.pass_over()
    assert world.api.objects[path].get("spec") != "odd"
    before = world.api.writes()
    await world.pass_over()
    assert world.api.writes() == before


async def test_what_a_controller_writes_is_no_change(world):
    """A Deployment's status belongs to its controller."""
    await world.run()
    path = next(path for path in world.api.objects if "/services/" in path)
    raw = world.api.objects[path]
    entry = written("kube-controller-manager", {}, "2026-01-01T13:00:00Z", subresource="status")
    metadata = {**raw["metadata"], "managedFields": [entry]}
    world.cluster.saw({**await world.api.update(path, {**raw, "metadata": metadata}), "kind": "Service"})
    before = world.api.writes()
    await world.pass_over()
    assert world.api.writes() == before


async def test_a_secret_that_a_pod_lacks_is_made_again(world):
    """Nobody reads it, so a pod that waits for it is what tells."""
    await world.pass_over()
    await world.pass_over()
    (path,) = (path for path in world.api.objects if "/secrets/" in path)
    made = world.api.objects.pop(path)
    place, pod = next((path, raw) for path, raw in world.api.objects.items() if "/pods/" in path)
    waiting = {"state": {"waiting": {"reason": "CreateContainerConfigError"}}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "main", **waiting}]}
    world.cluster.saw({**await world.api.update(place, {**pod, "status": status}), "kind": "Pod"})
    await world.pass_over()
    assert world.api.objects[path]["data"] == made["data"]


async def test_older_news_is_no_news(world):
    """What a watch tells late does not undo what a write has answered."""
    old = dict(world.api.objects[BY_KIND["TrainJob"].path("default", "digits")])
    await world.pass_over()
    started = (await world.cluster.observe(JOB)).object.status
    world.cluster.saw(old)
    assert (await world.cluster.observe(JOB)).object.status == started


async def test_who_is_woken(world):
    """A job wakes its endpoint, a child its owner; what is gone wakes too."""
    watch = world.cluster.watch()
    assert await anext(watch) == JOB
    endpoint = await world.make(Kind.INFERENCE_ENDPOINT, {})
    assert await anext(watch) == ENDPOINT
    path = BY_KIND["TrainJob"].path("default", "digits")
    world.cluster.saw(await world.api.update(path, {**world.api.objects[path], "spec": {**SPEC, "epochs": 3}}))
    assert {await anext(watch), await anext(watch)} == {JOB, ENDPOINT}
    world.cluster.gone(endpoint)
    assert await anext(watch) == ENDPOINT
    await watch.aclose()


async def test_who_waits_for_weights_is_woken(world):
    """By the job and by the endpoint whose weights it starts with, and only by these; gone, it is asked no more."""
    sources = ({"job": "digits"}, {"endpoint": "digits"}, {"job": "other"})
    for number, source in enumerate(sources):
        made = await world.make(spec={**SPEC, "model": {"from": source}}, name=f"tuned-{number}")
    endpoint = await world.make(Kind.INFERENCE_ENDPOINT, {})
    tuned = [ObjectKey(kind=Kind.TRAIN_JOB, namespace="default", name=f"tuned-{number}") for number in range(3)]
    watch = world.cluster.watch()
    assert {await anext(watch) for _ in range(5)} == {JOB, ENDPOINT, *tuned}
    await world.edit({**SPEC, "epochs": 3})
    assert {await anext(watch) for _ in range(3)} == {JOB, ENDPOINT, tuned[0]}
    world.cluster.gone(endpoint)
    assert {await anext(watch) for _ in range(2)} == {ENDPOINT, tuned[1]}
    assert set((await world.cluster.observe(tuned[0])).related) == {JOB}
    await watch.aclose()
    world.cluster.gone(made)
    assert tuned[2] not in world.cluster._starters


async def test_pods_that_start_together_are_looked_at_once(world, monkeypatch):
    """The first one that starts has its owner looked at in a moment, the last one at once."""
    monkeypatch.setattr("headrace.kube.starts.FOLLOWED_SECONDS", 0.05)
    await world.pass_over()
    await world.pass_over()
    told = []
    heard = told.append

    async def listen():
        async for key in world.cluster.watch():
            heard(key)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    told.clear()

    first, second, third = [path for path in world.api.objects if "/pods/" in path]
    await world.start(first)
    assert told == []
    await asyncio.sleep(0.1)
    assert told == [JOB]
    await world.start(second)
    await world.start(third)
    assert told == [JOB, JOB]
    task.cancel()


async def test_a_node_for_a_pod_is_no_news(world):
    """What a plan does not see of a pod wakes nobody; that it runs does."""
    await world.pass_over()
    await world.pass_over()
    path, pod = next((path, raw) for path, raw in world.api.objects.items() if "/pods/" in path)
    watch = world.cluster.watch()
    assert await anext(watch) == JOB
    bound = await world.api.update(path, {**pod, "kind": "Pod", "spec": {**pod["spec"], "nodeName": "node-1"}})
    world.cluster.saw({**bound, "kind": "Pod"})
    woken = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.05)
    assert not woken.done()
    running = await world.api.update(f"{path}/status", {**bound, "status": {"phase": "Running"}})
    world.cluster.saw({**running, "kind": "Pod"})
    assert await asyncio.wait_for(woken, 1.0) == JOB
    await watch.aclose()


async def test_an_object_that_cannot_be_read_is_left_alone(world, caplog):
    """Its status says so, once, and the others are seen to; it is read again when it is mended."""
    raw = await world.make(spec={**SPEC, "epochs": "many"}, name="odd")
    odd, path = ObjectKey(Kind.TRAIN_JOB, "default", "odd"), BY_KIND["TrainJob"].path("default", "odd")
    first = await world.cluster.say_unreadable(odd, NOW)
    assert await reconcile(world.cluster, odd, NOW) is None
    said = {each["type"]: each for each in world.api.objects[path]["status"]["conditions"]}
    assert (said["Stalled"]["status"], said["Ready"]["status"], said["Ready"]["reason"]) == (
        "True",
        "False",
        "Unreadable",
    )
    assert "correct spec.epochs: Input should be a valid integer" in said["Stalled"]["message"]
    assert caplog.text.count("TrainJob default/odd: this version of Headrace cannot read") == 1
    before = world.api.writes()
    assert await world.cluster.say_unreadable(odd, NOW + timedelta(seconds=9)) == first
    assert world.api.writes() == before
    assert await world.pass_over() == 0.0
    world.cluster.saw(await world.api.update(path, {**world.api.objects[path], "metadata": raw["metadata"] | {"resourceVersion": ""}, "spec": SPEC}))  # fmt: skip
    assert await world.cluster.say_unreadable(odd, NOW) is None
    assert await reconcile(world.cluster, odd, NOW) == 0.0


GANG = {**SPEC, "gang": {"coscheduling": {}}}
GROUPS = "scheduling.x-k8s.io"


async def test_where_no_pod_groups_are_served_the_run_says_so(world):
    """One sentence says what is missing and what to do; no pod is made without its group, and all are once it is taken."""
    world.api.unserved.add(GROUPS)
    await world.edit(GANG)
    await world.pass_over()
    await world.pass_over()
    await world.pass_over()
    refused = await world.condition("Refused")
    assert (refused.reason, (await world.condition("Stalled")).reason) == ("NotServed", "NotServed")
    assert "install sigs.k8s.io/scheduler-plugins" in refused.message
    assert "pods" not in world.written("create")
    world.api.unserved.clear()
    later = NOW + timedelta(seconds=60)
    await world.pass_over(now=later)
    await world.pass_over(now=later)
    assert world.written("create").count("pods") == 3
    assert await world.condition("Refused") is None


async def test_a_namespace_that_is_gone_is_no_missing_api(world):
    """The API server answers with the same code."""
    await world.edit(GANG)
    await world.pass_over()
    world.api.refusals["podgroups"] = NotFound(404, "NotFound", 'namespaces "default" not found')
    with pytest.raises(NotFound):
        await world.pass_over()


async def test_the_group_of_an_earlier_attempt_is_deleted(world):
    """By the API that it was made by: two have the same kind."""
    await world.edit(GANG)
    await world.pass_over()
    await world.pass_over()
    observed = await world.cluster.observe(JOB)
    (group,) = (child for child in observed.children if child["kind"] == "PodGroup")
    await world.cluster.apply(observed, Delete("PodGroup", group["metadata"]["name"], group["metadata"]["uid"]))
    assert not [path for path in world.api.objects if "/podgroups/" in path]
    await world.cluster.apply(observed, Delete("PodGroup", group["metadata"]["name"], group["metadata"]["uid"]))


async def test_what_is_noted_of_an_object_that_is_gone_is_forgotten(world):
    """A pass that ends after its object was deleted leaves nothing behind for good."""
    raw = world.api.objects[BY_KIND["TrainJob"].path("default", "digits")]
    observed = await world.cluster.observe(JOB)
    world.cluster.gone(raw)
    world.cluster.note_refusals(observed, (Refusal("Pod", "w", "QuotaExceeded", "exceeded quota"),))
    assert world.cluster._refusals
    world.cluster.forget_leftovers()
    assert not world.cluster._refusals
