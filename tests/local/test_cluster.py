"""The port as a whole, with real processes: what is declared runs, what ends is told, what is deleted is gone."""

import asyncio
import json
import socket

import pytest

from headrace.api.meta import Kind
from headrace.api.objects import parse_object
from headrace.api.status import Phase
from headrace.cluster import Conflict
from headrace.local import Refused, log_paths
from headrace.plan import labels
from headrace.plan.values import Apply, Create, Delete, DeleteSelf, PodPhase

pytestmark = pytest.mark.asyncio
REPORT = '{"phase": "Complete", "reason": "Complete", "time": "2026-01-01T00:00:00Z"}'


async def test_a_pod_runs_and_its_end_is_told(kit, state):
    """A pod whose command ends with 0 has succeeded, and its termination message is its final report."""
    script = f"import os; open(os.environ['HEADRACE_TERMINATION_LOG'], 'w').write('''{REPORT}'''); print('hello')"
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", script))
        seen = await world.until_phase("one", PodPhase.SUCCEEDED)
        assert (seen.exit_code, seen.disrupted, seen.final.reason) == (0, False, "Complete")
        assert "hello" in world.log("one")


async def test_a_failure_is_explained_by_the_last_line(kit, state):
    """A pod that fails says its exit code and the last line of its log, and is not disrupted."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", "import sys; sys.exit('no data here')"))
        seen = await world.until_phase("one", PodPhase.FAILED)
        assert (seen.exit_code, seen.disrupted, seen.final, seen.message) == (
            1,
            False,
            None,
            "no data here",
        )


async def test_a_command_killed_from_outside_has_failed(kit, state):
    """SIGKILL by somebody else is a failure, with a hint at memory."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", "import os; os.kill(os.getpid(), 9)"))
        seen = await world.until_phase("one", PodPhase.FAILED)
        assert (seen.exit_code, seen.message) == (137, "was ended by signal 9; the machine may be short of memory")


async def test_a_pod_whose_shim_is_killed_is_lost(kit, state):
    """When the shim goes without a word, the pod failed through no fault of its own and nothing of it is left."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", "import time; print('up'); time.sleep(60)"))
        await kit.until(lambda: "up" in world.log("one"))
        shim = next(process for process in kit.processes_of(state) if "shim.py" in " ".join(process.cmdline()))
        shim.kill()
        seen = await world.until_phase("one", PodPhase.FAILED)
        assert (seen.disrupted, seen.reason) == (True, "Lost")
        assert kit.processes_of(state) == []


async def test_a_deleted_pod_may_end_in_its_own_way(kit, state):
    """Delete shows the pod as deleting, passes SIGTERM on, and removes it when it has ended; its log stays."""
    script = "import signal, sys, time; signal.signal(15, lambda *_: (time.sleep(0.3), print('saved'), sys.exit(3))); print('up'); time.sleep(60)"
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", script, grace=5))
        await kit.until(lambda: "up" in world.log("one"))
        uid = (await world.pod("one")).uid
        await world.cluster.apply(await world.observe(), Delete("Pod", "one", "another-uid"))
        assert not (await world.pod("one")).deleting
        await world.cluster.apply(await world.observe(), Delete("Pod", "one", uid))
        assert (await world.pod("one")).deleting
        await kit.until(lambda: not world.cluster.pods(world.resource.key))
        assert [(name, path.read_text()) for name, path in log_paths(state, world.resource.key)] == [
            ("one", "up\nsaved\n")
        ]
        await world.cluster.apply(await world.observe(), Delete("Pod", "one", uid))


async def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace(kit, state):
    """The grace that Delete gives bounds the end, also of what the pod started elsewhere."""
    script = "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN); subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); print('up'); time.sleep(60)"
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", script, grace=60))
        await kit.until(lambda: "up" in world.log("one"))
        await world.cluster.apply(
            await world.observe(), Delete("Pod", "one", (await world.pod("one")).uid, grace_seconds=0)
        )
        await kit.until(lambda: not world.cluster.pods(world.resource.key))
        assert kit.processes_of(state) == []


async def test_deleting_an_object_takes_its_children(kit, state):
    """delete() returns when pods, Deployments, ConfigMaps and Secrets of the object are gone."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        deployment = kit.owned(
            observed,
            "Deployment",
            "web",
            spec={"replicas": 1, "template": {"metadata": {}, "spec": kit.pod_spec(restartPolicy="Always")}},
        )
        await world.make(kit.owned(observed, "ConfigMap", "run", data={}), kit.pod(observed, "one"), deployment)
        await kit.until(
            lambda: len([pod for pod in world.cluster.pods(world.resource.key) if pod.phase == PodPhase.RUNNING]) == 2
        )
        await world.cluster.delete(world.resource.key)
        assert world.cluster.objects() == []
        assert [path.name for path in (state / "objects").glob("*/*/*.json")] == []
        assert kit.processes_of(state) == []


async def test_creating_twice_is_success_only_for_the_same(kit, state):
    """A child that is there is success if it has the same owner and attempt and is not going, else a conflict."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        manifest = kit.pod(observed, "one")
        await world.make(manifest, manifest)
        other_attempt = {
            **manifest,
            "metadata": {**manifest["metadata"], "labels": {**manifest["metadata"]["labels"], labels.ATTEMPT: "2"}},
        }
        with pytest.raises(Conflict, match="one is there already"):
            await world.make(other_attempt)
        await world.cluster.apply(observed, Delete("Pod", "one", (await world.pod("one")).uid))
        with pytest.raises(Conflict, match="one is there already"):
            await world.make(manifest)


async def test_a_secret_is_generated_once_and_never_shown(kit, state):
    """The token is made at creation, stays on a second creation, and is not part of what the planner sees."""
    async with kit.opened(state) as world:
        secret = kit.owned(await world.observe(), "Secret", "token", immutable=True)
        for _ in range(2):
            await world.cluster.apply(await world.observe(), Create(secret, generate=("token",)))
        path = state / "objects/Secret/default/token.json"
        first = json.loads(path.read_text())["data"]["token"]
        assert len(first) > 40
        child = (await world.observe()).child("Secret", "token")
        assert "data" not in child
        assert first not in str(await world.observe())


async def test_apply_changes_what_it_names(kit, state):
    """Apply makes a child, changes it, and leaves its UID; another owner's child is a conflict."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.cluster.apply(observed, Apply(kit.owned(observed, "ConfigMap", "run", data={"a": "1"})))
        uid = (await world.observe()).child("ConfigMap", "run")["metadata"]["uid"]
        await world.cluster.apply(observed, Apply(kit.owned(observed, "ConfigMap", "run", data={"a": "2"})))
        child = (await world.observe()).child("ConfigMap", "run")
        assert (child["data"], child["metadata"]["uid"]) == ({"a": "2"}, uid)
        await world.cluster.put(kit.job("other"))
        stranger = await world.cluster.observe(kit.job("other").key)
        with pytest.raises(Conflict, match="belongs to another owner"):
            await world.cluster.apply(stranger, Apply(kit.owned(stranger, "ConfigMap", "run", data={})))


async def test_a_status_is_saved_for_what_was_observed_only(kit, state):
    """A status for an older version is a conflict, also an equal one; an equal one for the present version writes nothing."""
    async with kit.opened(state) as world:
        first = await world.observe()
        status = first.object.status.model_copy(update={"phase": Phase.RUNNING, "run": 1})
        await world.cluster.save_status(first, status)
        with pytest.raises(Conflict):
            await world.cluster.save_status(first, status)
        second = await world.observe()
        await world.cluster.save_status(second, status)
        assert (await world.observe()).object == second.object
        assert second.object.status == status


async def test_put_says_what_it_did(kit, state):
    """put creates, changes in place and leaves alone, and counts generations."""
    async with kit.opened(state) as world:
        assert await world.cluster.put(kit.job()) == "unchanged"
        assert await world.cluster.put(kit.job(suspend=True)) == "configured"
        assert world.cluster.get(world.resource.key).metadata.generation == 2
        assert await world.cluster.put(kit.job("other")) == "created"
        assert [one.key.name for one in world.cluster.objects()] == ["digits", "other"]


async def test_an_edit_that_changes_the_result_is_refused_while_pods_live(kit, state):
    """Refused names the field and what to do; without a pod the same edit is taken."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", "import time; time.sleep(0.5)"))
        with pytest.raises(
            Refused, match="TrainJob default/digits: epochs cannot change while the job runs; set suspend: true first"
        ):
            await world.cluster.put(kit.job(epochs=2))
        await world.until_phase("one", PodPhase.SUCCEEDED)
        assert await world.cluster.put(kit.job(epochs=2)) == "configured"


async def test_an_object_can_delete_itself(kit, state):
    """DeleteSelf removes the object with this UID and no other."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.cluster.apply(observed, DeleteSelf("another-uid"))
        assert await world.cluster.observe(world.resource.key) is not None
        await world.cluster.apply(observed, DeleteSelf(observed.object.metadata.uid))
        assert await world.cluster.observe(world.resource.key) is None


async def test_watchers_hear_of_every_key_and_of_changes(kit, state):
    """All keys come at the start; then those of changed objects, of their watchers, and of owners of changed pods."""
    async with kit.opened(state) as world:
        watch = world.cluster.watch()
        assert await anext(watch) == world.resource.key
        pipeline = {
            "apiVersion": "headrace.dev/v1alpha1",
            "kind": "DataPipeline",
            "metadata": {"name": "digits"},
            "spec": {"source": {"sample": {"name": "Digits"}}, "sink": {"delta": {}}},
        }
        await world.cluster.put(parse_object(pipeline))
        async with asyncio.timeout(5):
            assert {(await anext(watch)).kind, (await anext(watch)).kind} == {Kind.DATA_PIPELINE, Kind.TRAIN_JOB}
            assert set((await world.observe()).related) == {parse_object(pipeline).key}
            await world.make(kit.pod(await world.observe(), "one", "pass"))
            while not any(pod.phase == PodPhase.SUCCEEDED for pod in world.cluster.pods(world.resource.key)):
                assert await anext(watch) == world.resource.key
        await watch.aclose()


async def test_a_gang_starts_together_or_not_at_all(kit, state):
    """Pods of a gang wait for each other and for room, and say so."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        gang = {labels.GANG: "g", labels.GANG_MINIMUM: "2"}
        await world.make(kit.pod(observed, "first", cpu="1500m"))
        await world.until_phase("first", PodPhase.RUNNING)
        await world.make(
            kit.pod(observed, "head", cpu="400m", annotations=gang),
            kit.pod(observed, "worker", cpu="1", role="worker", annotations=gang),
        )
        waiting = await kit.until(
            lambda: next(
                (pod for pod in world.cluster.pods(world.resource.key) if pod.name == "head" and "CPU" in pod.message),
                None,
            )
        )
        assert (waiting.phase, waiting.reason) == (PodPhase.PENDING, "Waiting")
        assert waiting.message == "waits for 1.4 CPUs for itself and the pod that must start with it; 0.5 of 2 are free"
        await world.cluster.apply(observed, Delete("Pod", "first", (await world.pod("first")).uid, grace_seconds=0))
        await world.until_phase("head", PodPhase.RUNNING)
        await world.until_phase("worker", PodPhase.RUNNING)


async def test_a_pod_that_never_fits_says_what_to_change(kit, state):
    """The message names what is asked for, what there is, and the field."""
    async with kit.opened(state) as world:
        await world.make(kit.pod(await world.observe(), "one", cpu="8"))
        seen = await kit.until(
            lambda: next((pod for pod in world.cluster.pods(world.resource.key) if pod.reason), None)
        )
        assert (seen.reason, seen.message) == (
            "Unschedulable",
            "asks for 8 CPUs; this machine has 2 CPUs; lower spec.workers.resources.cpu or run it on a cluster",
        )


async def test_workers_find_their_head(kit, state):
    """A Service's address in the environment is the head's loopback port, which the head knows by its variable."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        service = kit.owned(
            observed,
            "Service",
            "head",
            spec={"selector": {labels.ROLE: "head"}, "ports": [{"port": 6379, "targetPort": "ray"}]},
        )
        head = kit.pod(
            observed, "head", "import os, time; print(os.environ['HEADRACE_PORT_RAY']); time.sleep(60)", ports=("ray",)
        )
        worker = kit.pod(
            observed,
            "worker",
            "import os; print(os.environ['HEADRACE_HEAD_ADDRESS'])",
            role="worker",
            env={"HEADRACE_HEAD_ADDRESS": "head:6379"},
        )
        await world.make(service, worker)
        waiting = await kit.until(
            lambda: next((pod for pod in world.cluster.pods(world.resource.key) if "Service" in pod.message), None)
        )
        assert (waiting.phase, waiting.message) == (PodPhase.PENDING, "waits for a pod behind the Service head")
        await world.make(head)
        await world.until_phase("worker", PodPhase.SUCCEEDED)
        port = (await world.pod("head")).ports["ray"]
        await kit.until(lambda: world.log("head"))
        assert (world.log("head"), world.log("worker")) == (f"{port}\n", f"127.0.0.1:{port}\n")


async def test_a_fixed_port_in_use_is_told(kit, state):
    """A pod whose fixed port another program has fails with the port and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        async with kit.opened(state) as world:
            await world.make(
                kit.pod(await world.observe(), "one", ports=("http",), annotations={labels.LOCAL_PORT: str(port)})
            )
            seen = await world.until_phase("one", PodPhase.FAILED)
            assert (seen.reason, seen.disrupted) == ("PortInUse", False)
            assert seen.message == f"127.0.0.1:{port} is in use by another program; stop it or set spec.localPort"


@pytest.mark.parametrize(
    "over",
    [
        {"resources": {"requests": {"cpu": "many"}}},
        {"env": [{"value": "x"}]},
        {"command": "python"},
        {"volumeMounts": [{}]},
    ],
)
async def test_a_manifest_that_makes_no_sense_fails_its_pod_and_no_other(kit, state, over):
    """podTemplate can spoil a pod; the pod says so, and the others run."""
    async with kit.opened(state) as world:
        observed = await world.observe()
        await world.make(kit.pod(observed, "bad", container=over), kit.pod(observed, "good", "pass"))
        seen = await world.until_phase("bad", PodPhase.FAILED)
        assert seen.message
        await world.until_phase("good", PodPhase.SUCCEEDED)
