"""The port on an API server: what is remembered, what is written, what a conflict is, and that only a holder writes."""

import base64
from datetime import UTC, datetime

import pytest

from headrace.api.meta import API_VERSION, Kind, ObjectKey
from headrace.cluster import Conflict
from headrace.kube.cluster import KubeCluster, NotLeader
from headrace.kube.resources import BY_KIND, SECRET
from headrace.kube.tokens import token_for
from headrace.plan import labels
from headrace.plan.values import Apply, Create, Delete, DeleteSelf, Settings
from headrace.reconcile import reconcile
from tests.kube.fake_api import FakeApi

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

    async def pass_over(self, key=JOB):
        return await reconcile(self.cluster, key, NOW)

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
        ["configmaps", "secrets", "services", "poddisruptionbudgets", "networkpolicies", "pods", "pods", "pods"]
    )
    before = len(world.api.writes())
    await world.pass_over()
    assert len(world.api.writes()) == before


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


async def test_an_object_that_cannot_be_read_is_left_alone(world, caplog):
    """It is told of, and the others are seen to."""
    await world.make(spec={**SPEC, "epochs": "many"}, name="odd")
    assert await reconcile(world.cluster, ObjectKey(Kind.TRAIN_JOB, "default", "odd"), NOW) is None
    assert "TrainJob default/odd cannot be read by this version" in caplog.text
    assert await world.pass_over() == 0.0
