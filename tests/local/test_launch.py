"""A pod's manifest as a command: what Kubernetes would have given the container becomes paths and loopback addresses."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.local.launch import World, launch
from headrace.local.pods import LocalPod
from headrace.local.refusals import CannotStart, NotYet

FOLDER = Path("/state/pods/one")
OBJECTS = {
    ("ConfigMap", "run"): {"data": {"run.json": "{}", "other": "x"}},
    ("Secret", "token"): {"data": {"token": base64.b64encode(b"s3cret").decode()}},
}
WORLD = World(
    state_dir=Path("/state"), python="/venv/bin/python", environ={"PATH": "/bin", "HEADRACE_TOKEN": "outer", "HEADRACE_SQL_URL": "sqlite://", "HEADRACE_PORT_HTTP": "1"},
    find=lambda kind, name: OBJECTS.get((kind, name)), resolve={"head:6379": "127.0.0.1:20001"}.get,
)  # fmt: skip


def pod(container=None, volumes=(), status=None, **metadata) -> LocalPod:
    """A stored pod."""
    main = {"name": "main", "command": ["python", "-m", "headrace_workers.train"], **(container or {})}
    return LocalPod.of({
        "kind": "Pod", "metadata": {"name": "one", "namespace": "default", "uid": "u1", **metadata},
        "spec": {"containers": [main], "volumes": list(volumes)}, "status": status or {},
    })  # fmt: skip


def env(*entries, world=WORLD, **more) -> dict[str, str]:
    """The environment of a pod with these variables."""
    return dict(launch(pod({"env": list(entries), **more.pop("container", {})}, **more), FOLDER, world).environment)


def test_python_is_the_interpreter_that_runs_headrace():
    """`python` in a command is the interpreter of the running headrace; other programs stay."""
    assert launch(pod(), FOLDER, WORLD).argv == ("/venv/bin/python", "-m", "headrace_workers.train")
    assert launch(pod({"command": ["/bin/sh"], "args": ["-c", "true"]}), FOLDER, WORLD).argv == (
        "/bin/sh",
        "-c",
        "true",
    )


def test_a_pod_knows_who_it_is():
    """Name, address, UID and state folder are set, whatever the manifest says about them."""
    seen = env({"name": "HEADRACE_POD_IP", "value": "10.0.0.1"})
    assert (
        seen["HEADRACE_POD_NAME"],
        seen["HEADRACE_POD_IP"],
        seen["HEADRACE_POD_UID"],
        seen["HEADRACE_LOCAL_STATE"],
    ) == ("one", "127.0.0.1", "u1", "/state")


def test_the_environment_of_headrace_is_inherited_but_for_what_names_a_pod():
    """PATH passes by; tokens and ports of a pod that headrace itself runs in do not."""
    seen = env()
    assert seen["PATH"] == "/bin"
    assert seen["HEADRACE_SQL_URL"] == "sqlite://"
    assert "HEADRACE_TOKEN" not in seen
    assert "HEADRACE_PORT_HTTP" not in seen


def test_ports_are_those_of_the_pod_object():
    """The variable of a named port carries its loopback port, not the manifest's number."""
    seen = env({"name": "HEADRACE_PORT_REPORT", "value": "8265"}, status={"ports": {"report": 20005, "http": 20006}})
    assert (seen["HEADRACE_PORT_REPORT"], seen["HEADRACE_PORT_HTTP"]) == ("20005", "20006")


def test_the_termination_log_is_in_the_pods_folder():
    """The final report goes to the pod's own folder."""
    assert (
        env({"name": "HEADRACE_TERMINATION_LOG", "value": "/dev/termination-log"})["HEADRACE_TERMINATION_LOG"]
        == "/state/pods/one/termination-log"
    )


MOVED = {
    "the mount itself": ("/etc/headrace", "/state/pods/one/volumes/spec"),
    "a file below it": ("/etc/headrace/run.json", "/state/pods/one/volumes/spec/run.json"),
    "in a URI": ("file:///etc/headrace/run.json", "file:///state/pods/one/volumes/spec/run.json"),
    "after an equals sign": ("--spec=/etc/headrace/run.json", "--spec=/state/pods/one/volumes/spec/run.json"),
    "in a list": ("/bin:/etc/headrace", "/bin:/state/pods/one/volumes/spec"),
    "a longer name": ("/etc/headrace2/x", "/etc/headrace2/x"),
    "in the middle of a path": ("/mnt/etc/headrace", "/mnt/etc/headrace"),
    "a bucket": ("s3://etc/headrace", "s3://etc/headrace"),
}


@pytest.mark.parametrize(("written", "moved"), MOVED.values(), ids=MOVED.keys())
def test_paths_below_a_mount_are_moved(written, moved):
    """Values and arguments that name a path below a mount name the folder that stands for it."""
    container = {
        "env": [{"name": "X", "value": written}],
        "args": [written],
        "volumeMounts": [{"name": "spec", "mountPath": "/etc/headrace"}],
    }
    seen = launch(pod(container, volumes=[{"name": "spec", "configMap": {"name": "run"}}]), FOLDER, WORLD)
    assert (seen.environment["X"], seen.argv[-1]) == (moved, moved)


VOLUMES = {
    "a ConfigMap": ({"configMap": {"name": "run"}}, {"volumes/v/run.json": b"{}", "volumes/v/other": b"x"}),
    "some keys": (
        {"configMap": {"name": "run", "items": [{"key": "other", "path": "deep/name"}]}},
        {"volumes/v/deep/name": b"x"},
    ),
    "a Secret": ({"secret": {"secretName": "token"}}, {"volumes/v/token": b"s3cret"}),
    "an empty folder": ({"emptyDir": {}}, {}),
    "an optional ConfigMap": ({"configMap": {"name": "none", "optional": True}}, {}),
}


@pytest.mark.parametrize(("source", "files"), VOLUMES.values(), ids=VOLUMES.keys())
def test_volumes_become_folders(source, files):
    """A volume is a folder below the pod's with the files that it would have."""
    seen = launch(
        pod({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=[{"name": "v", **source}]), FOLDER, WORLD
    )
    assert (dict(seen.files), seen.folders) == (files, ("volumes/v",))


@pytest.mark.parametrize("path", ["/tmp", "/dev/shm"])
def test_scratch_folders_that_every_machine_has_stay(path):
    """An emptyDir at /tmp or /dev/shm is that folder: socket paths below it must be short."""
    seen = launch(
        pod(
            {"env": [{"name": "X", "value": f"{path}/ray"}], "volumeMounts": [{"name": "v", "mountPath": path}]},
            volumes=[{"name": "v", "emptyDir": {}}],
        ),
        FOLDER,
        WORLD,
    )
    assert (seen.environment["X"], seen.folders) == (f"{path}/ray", ())


def test_a_host_path_is_itself():
    """A hostPath volume needs no folder; paths below its mount lead there."""
    seen = launch(
        pod(
            {"args": ["/data/x"], "volumeMounts": [{"name": "v", "mountPath": "/data"}]},
            volumes=[{"name": "v", "hostPath": {"path": "/srv/data"}}],
        ),
        FOLDER,
        WORLD,
    )
    assert (seen.argv[-1], seen.folders) == ("/srv/data/x", ())


SOURCES = {
    "a Secret": ({"secretKeyRef": {"name": "token", "key": "token"}}, "s3cret"),
    "a ConfigMap": ({"configMapKeyRef": {"name": "run", "key": "other"}}, "x"),
    "the name": ({"fieldRef": {"fieldPath": "metadata.name"}}, "one"),
    "the address": ({"fieldRef": {"fieldPath": "status.podIP"}}, "127.0.0.1"),
    "a label": ({"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}, "c"),
    "an optional key that is not there": ({"secretKeyRef": {"name": "token", "key": "none", "optional": True}}, None),
}


@pytest.mark.parametrize(("source", "value"), SOURCES.values(), ids=SOURCES.keys())
def test_values_come_from_other_objects(source, value):
    """valueFrom reads Secrets, ConfigMaps and the pod's own fields."""
    assert env({"name": "X", "valueFrom": source}, labels={"a/b": "c"}).get("X") == value


def test_a_services_address_becomes_its_pods():
    """A value that is a Service's address becomes a loopback address; others stay."""
    seen = env({"name": "HEADRACE_HEAD_ADDRESS", "value": "head:6379"}, {"name": "Y", "value": "other:6379"})
    assert (seen["HEADRACE_HEAD_ADDRESS"], seen["Y"]) == ("127.0.0.1:20001", "other:6379")


def test_variables_refer_to_earlier_ones():
    """$(NAME) is an earlier variable in values and arguments; an unknown one stays as it is written."""
    entries = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(C)"}]
    assert env(*entries)["B"] == "1-$(C)"
    assert launch(pod({"env": entries, "args": ["$(B)"]}), FOLDER, WORLD).argv[-1] == "1-$(C)"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"secretKeyRef": {"name": "none", "key": "k"}}, "waits for the Secret none"),
        ({"secretKeyRef": {"name": "token", "key": "k"}}, "waits for the key k of the Secret token"),
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, "waits for the ConfigMap none"),
    ],
)
def test_a_pod_waits_for_what_it_refers_to(entry, message):
    """An object that is not there yet makes the pod wait, as in Kubernetes."""
    with pytest.raises(NotYet, match=message):
        env({"name": "X", "valueFrom": entry})


REFUSED = {
    "a claim": (
        {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
        "mounts the volume v from persistentVolumeClaim, which local mode does not have; use hostPath there",
    ),
    "a field": (
        {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.priority"}}}]},
        [],
        "the field spec.priority, which local mode does not know; write its value",
    ),
    "another source": (
        {"env": [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
        [],
        "takes X from resourceFieldRef, which local mode does not know; write its value",
    ),
    "no command": ({"command": []}, [], "has no command"),
}


@pytest.mark.parametrize(("container", "volumes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_this_machine_cannot_do_is_said(container, volumes, message):
    """What local mode lacks is named with what to write instead."""
    with pytest.raises(CannotStart, match=message):
        launch(pod(container, volumes), FOLDER, WORLD)


def test_a_pod_sees_the_gpus_that_it_was_given_and_no_others():
    """Where the machine has GPUs every pod is told which are its own; elsewhere the variable is left alone."""
    assert env(status={"gpus": ["1"]}, world=replace(WORLD, has_gpus=True))["CUDA_VISIBLE_DEVICES"] == "1"
    assert env(world=replace(WORLD, has_gpus=True))["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in env()
