"""The commands on a cluster as a person types them, against an API server of one process."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml

from headrace.api.meta import Kind
from headrace.cli import kubectl, main
from headrace.cli.on_cluster import watch
from tests.cli.api_server import MOMENT, ApiServer, fault, kubeconfig
from tests.cli.conftest import SPECS

MANIFESTS = """\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: digits}
spec:
  source: {sample: {name: Digits}}
  sink: {delta: {}}
---
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: digits}
spec:
  dataset: {pipeline: digits}
  model: {builtin: Perceptron}
  epochs: 1
"""
PLURALS = {Kind.DATA_PIPELINE: "datapipelines", Kind.TRAIN_JOB: "trainjobs", Kind.INFERENCE_ENDPOINT: "inferenceendpoints"}  # fmt: skip


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An API server that the kubeconfig names, with the namespace demo; the current folder holds manifests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_STATE_DIR", raising=False)
    Path("two.yaml").write_text(MANIFESTS)
    with ApiServer() as server:
        Path("config").write_text(kubeconfig(server.url))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        yield server


@pytest.fixture
def typed(capsysbinary):
    """Runs a command line of either program; answers exit code, standard output, standard error."""

    def run(words: str) -> tuple[int, str, str]:
        plugin = words.startswith("kubectl ")
        arguments = words.removeprefix("kubectl ").removeprefix("headrace ").split()
        with pytest.raises(SystemExit) as ended:
            (kubectl if plugin else main)(arguments)
        out, err = capsysbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return run


def keep(server, kind, name="digits", **status):
    """Has an object exist that an operator has looked at."""
    raw = {"apiVersion": "headrace.dev/v1alpha1", "kind": str(kind), "metadata": {"name": name}, "spec": SPECS[kind]}
    kept = server.put(PLURALS[kind], raw)
    if status:
        server.status(PLURALS[kind], name, **status)
    return kept


def condition(name, status="True", reason="Running", message=""):
    return {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": MOMENT}


def pod(server, owner, name, log, moment=MOMENT):
    """Has a pod of an object exist, with its log."""
    labels = {"headrace.dev/uid": owner["metadata"]["uid"]}
    server.put("pods", {"metadata": {"name": name, "labels": labels, "creationTimestamp": moment}})
    server.logs[name] = log


def test_a_namespace_means_the_cluster(server, typed):
    """status -n shows what the API server has, in the form of local mode."""
    keep(server, Kind.TRAIN_JOB, phase="Running", percent=45)
    code, out, err = typed("headrace status -n demo")
    assert (code, err) == (0, "")
    assert "TrainJob demo/digits" in out
    assert "45 %" in out


def test_the_plugin_means_the_kubeconfigs_namespace(server, typed):
    """kubectl headrace status NAME tells everything about an object of the current context's namespace."""
    complete = condition("Complete", reason="Complete", message="run 1 is complete")
    keep(server, Kind.TRAIN_JOB, phase="Complete", conditions=[complete])
    assert "Complete=True Complete: run 1 is complete" in typed("kubectl headrace status tj/digits")[1]


def test_without_an_option_the_state_folder_is_meant(server, typed):
    """headrace status asks no cluster, whatever the kubeconfig says."""
    keep(server, Kind.TRAIN_JOB)
    assert typed("headrace status")[1].startswith("nothing is in .headrace yet")


@pytest.mark.parametrize("words", ["headrace status -n demo", "headrace status --context here", "kubectl headrace status", "headrace run --on-cluster two.yaml"])  # fmt: skip
def test_two_worlds_at_once_are_refused(server, typed, words):
    """--state-dir and a cluster are never mixed."""
    code, out, err = typed(f"{words} --state-dir x")
    assert (code, out) == (2, "")
    assert err.startswith("headrace: --state-dir means this machine and ")


@pytest.mark.parametrize("words", ["plan two.yaml", "stop"])
def test_the_plugin_refuses_what_is_local(server, typed, words):
    """plan and stop know the state folder alone."""
    code, _, err = typed(f"kubectl headrace {words}")
    assert code == 2
    assert "is for the state folder on this machine" in err


def test_status_as_data_is_the_apis_own_object(server, typed):
    """-o json has what this version does not know, and not who manages which field."""
    kept = keep(server, Kind.TRAIN_JOB)
    kept["spec"] = {**kept["spec"], "later": 1}
    kept["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    shown = json.loads(typed("headrace status digits -n demo -o json")[1])
    assert (shown["kind"], shown["spec"]["later"], "managedFields" in shown["metadata"]) == ("TrainJob", 1, False)


def test_an_object_of_another_version_hides_no_other(server, typed):
    """What cannot be read is told, and the rest shown."""
    keep(server, Kind.DATA_PIPELINE)
    kept = keep(server, Kind.TRAIN_JOB)
    kept["spec"] = {**kept["spec"], "later": 1}
    code, out, err = typed("headrace status -n demo")
    assert code == 0
    assert "DataPipeline demo/digits" in out
    assert "TrainJob demo/digits: cannot be read by this version (spec.later: " in err


def test_an_empty_namespace_says_how_to_begin(server, typed):
    """A namespace without objects is no error, for those too who may not look at namespaces."""
    told = f"nothing is in the namespace demo of {server.url} (context here) yet; `headrace run FILE -n demo` starts something\n"
    assert typed("headrace status -n demo") == (0, told, "")
    server.refusals["GET", "demo"] = fault(403, "Forbidden", "no")
    assert typed("headrace status -n demo") == (0, told, "")


def test_a_namespace_that_is_not_there_is_a_sentence(server, typed):
    """A misspelt namespace exits with 2."""
    told = f"headrace: {server.url} (context here) has no namespace dmo; choose another with -n\n"
    assert typed("headrace status -n dmo") == (2, "", told)


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ((404, b"404 page not found\n"), "its CustomResourceDefinitions are missing; install the chart, or"),
        (fault(403, "Forbidden", "trainjobs is forbidden"), "trainjobs is forbidden; ask the cluster's administrator"),
        (fault(401, "Unauthorized", "Unauthorized"), "Unauthorized; log in again, or choose another --context"),
        (fault(500, "InternalError", "etcd is gone"), "etcd is gone; try again in a moment"),
    ],
)
def test_what_the_api_server_refuses_is_a_sentence(server, typed, refusal, told):
    """Missing definitions, missing rights and faults of the cluster exit with 1 and one line."""
    server.refusals["GET", "trainjobs"] = refusal
    code, out, err = typed("headrace status -n demo")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert told in err


def test_a_cluster_that_does_not_answer_is_a_sentence(server, typed):
    """An unreachable API server exits with 1 and what to try."""
    Path("config").write_text(kubeconfig("http://127.0.0.1:1"))
    code, _, err = typed("headrace status -n demo")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("headrace: http://127.0.0.1:1 (context here) does not answer: ")
    assert "`kubectl cluster-info --context here`" in err


@pytest.mark.parametrize("text", [None, "a: [", "contexts: []"])
def test_a_kubeconfig_that_leads_nowhere_is_a_sentence(server, typed, text):
    """A kubeconfig that is missing or broken exits with 1."""
    Path("config").unlink() if text is None else Path("config").write_text(text)
    code, _, err = typed("kubectl headrace status")
    assert code == 1
    assert err.startswith("headrace: no Kubernetes cluster to talk to: ")


def test_delete_tells_where_the_data_stays(server, typed):
    """delete removes the object named and no other."""
    keep(server, Kind.DATA_PIPELINE)
    keep(server, Kind.TRAIN_JOB, phase="Running", storage="s3://lake/run-1")
    told = "TrainJob demo/digits: deleted; its data stays in s3://lake/run-1\n"
    assert typed("kubectl headrace delete tj/digits") == (0, told, "")
    assert server.changes == [("DELETE", "digits")]


def test_delete_of_an_ambiguous_name_deletes_nothing(server, typed):
    """A name of two objects is refused with the choices."""
    keep(server, Kind.DATA_PIPELINE)
    keep(server, Kind.TRAIN_JOB)
    assert typed("kubectl headrace delete digits")[0] == 2
    assert server.changes == []


def test_deleting_everything_needs_the_namespace_written(server, typed):
    """--all alone is too easily meant for another cluster."""
    keep(server, Kind.TRAIN_JOB)
    assert typed("kubectl headrace delete --all")[0] == 2
    assert server.changes == []
    assert typed("kubectl headrace delete --all -n demo")[0] == 0
    assert server.objects == {}


def test_the_newest_heads_log_is_printed(server, typed):
    """logs NAME is what the head of the newest attempt wrote, byte by byte."""
    owner = keep(server, Kind.TRAIN_JOB, phase="Running")
    pod(server, owner, "d-r1a2-head", b"two\nhalf", "2026-01-02T03:05:05Z")
    pod(server, owner, "d-r1a1-head", b"one\n")
    pod(server, owner, "d-r1a2-worker-0", b"worker\n", "2026-01-02T03:05:05Z")
    assert typed("kubectl headrace logs tj/digits") == (0, "two\nhalf", "")
    assert typed("kubectl headrace logs tj/digits --pod worker-0") == (0, "worker\n", "")
    assert "there are: d-r1a1-head, d-r1a2-head, d-r1a2-worker-0" in typed("kubectl headrace logs digits --pod x")[2]


def test_an_endpoints_pods_are_told_apart(server, typed):
    """Without a head every pod's lines are printed, each with its pod."""
    owner = keep(server, Kind.INFERENCE_ENDPOINT)
    pod(server, owner, "router", b"one\ntwo")
    pod(server, owner, "server", b"three\n")
    assert typed("kubectl headrace logs digits")[1] == "router: one\nrouter: two\nserver: three\n"


def test_a_followed_log_ends_with_its_object(server, typed):
    """-f waits for a pod that has not started, and ends once the object has finished and all is copied."""
    owner = keep(server, Kind.TRAIN_JOB, phase="Running")
    pod(server, owner, "d-r1a1-head", b"one\n")
    server.refusals["GET", "d-r1a1-head"] = fault(400, "BadRequest", "container is waiting to start")
    server.steps = [
        lambda: None,
        lambda: None,
        server.refusals.clear,
        lambda: server.status("trainjobs", "digits", phase="Complete"),
    ]
    assert typed("kubectl headrace logs digits -f") == (0, "one\n", "")


def test_a_pod_without_a_log_is_a_sentence(server, typed):
    """A pod that has not started, and an object without pods, exit with 1 and where to look."""
    owner = keep(server, Kind.TRAIN_JOB)
    assert "trainjob/digits has no pod now" in typed("kubectl headrace logs digits")[2]
    pod(server, owner, "d-r1a1-head", b"")
    server.refusals["GET", "d-r1a1-head"] = fault(400, "BadRequest", "container is waiting to start: ImagePullBackOff")
    code, _, err = typed("kubectl headrace logs digits")
    assert code == 1
    assert "waiting to start: ImagePullBackOff; `kubectl headrace status trainjob/digits -n demo` says why" in err


def test_validate_changes_nothing(server, typed):
    """validate asks the API server by a dry run."""
    code, out, _ = typed("headrace validate two.yaml -n demo")
    assert (code, out) == (0, f"2 objects are valid, and {server.url} (context here) would take them\n")
    assert server.changes == []


def test_local_faults_are_told_before_the_api_server_is_asked(server, typed):
    """A misspelt field has its line and its remedy; a reference is looked up on the cluster."""
    Path("job.yaml").write_text(MANIFESTS.split("---\n")[1])
    assert "there is no DataPipeline digits in these files or in the namespace demo" in typed("headrace validate job.yaml -n demo")[2]  # fmt: skip
    keep(server, Kind.DATA_PIPELINE)
    assert typed("headrace validate job.yaml -n demo")[0] == 0
    Path("job.yaml").write_text(MANIFESTS.replace("epochs", "epocs"))
    assert "job.yaml:14: TrainJob digits: spec.epocs: unknown field; did you mean epochs?" in typed("headrace validate job.yaml -n demo")[2]  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (
            fault(422, "Invalid", "invalid", ("spec.epochs", "Invalid value: must be less"), ("spec", "Invalid value: set one")),
            ["two.yaml:14: TrainJob digits: spec.epochs: must be less", "two.yaml:11: TrainJob digits: spec: set one"],
        ),
        (
            fault(500, "", "failed to create typed patch object (demo/digits; x, Kind=TrainJob): .spec.epochs: field not declared in schema"),
            ["two.yaml:14: TrainJob digits: spec.epochs: the cluster's CustomResourceDefinition, which is of another version"],
        ),
        (
            fault(409, "Conflict", "conflict", (".spec.epochs", 'conflict with "argocd" using headrace.dev/v1alpha1')),
            ["two.yaml:14: TrainJob digits: spec.epochs: belongs to the field manager argocd; change it there, or"],
        ),
        (
            fault(403, "Forbidden", "exceeded quota"),
            ["two.yaml:8: TrainJob digits: the cluster refuses it: exceeded quota"],
        ),
    ],
)  # fmt: skip
def test_what_the_dry_run_refuses_has_file_and_field(server, typed, refusal, told):
    """Every refusal is told with its line, and nothing is applied."""
    Path("two.yaml").write_text(MANIFESTS.replace("name: digits}\nspec:\n  dataset", "name: job}\nspec:\n  dataset"))
    server.refusals["PATCH", "job"] = refusal
    for words in ("headrace validate two.yaml -n demo", "headrace run two.yaml -n demo"):
        code, _, err = typed(words)
        assert code == 2
        for line in told:
            assert line.replace("TrainJob digits", "TrainJob job") in err
    assert server.changes == []


def test_a_namespace_written_twice_differently_is_refused(server, typed):
    """The manifest's namespace and -n must agree; without -n the manifest's counts."""
    Path("two.yaml").write_text(MANIFESTS.replace("{name: digits}", "{name: digits, namespace: other}"))
    assert "two.yaml:3: DataPipeline digits: metadata.namespace: other is written here, and -n demo" in typed("headrace validate two.yaml -n demo")[2]  # fmt: skip
    assert typed("kubectl headrace validate two.yaml")[0] == 0


def test_run_applies_and_watches_to_the_end(server, typed, monkeypatch):
    """run tells what was created, what is news and what was made, and exits with 0."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    dataset = {"uri": "s3://lake/digits", "version": 0, "digest": "d", "records": 10, "splits": {"train": 10}}
    complete = [condition("Complete", reason="Complete", message="run 1 is complete")]

    def finish():
        server.status("datapipelines", "digits", phase="Complete", run=1, dataset=dataset, conditions=complete)
        server.status("trainjobs", "digits", phase="Complete", run=1, conditions=complete)

    server.steps = [lambda: None, lambda: None, finish]
    code, out, err = typed("headrace run two.yaml --on-cluster")
    assert (code, err) == (0, "")
    assert "2 objects in two.yaml; applied to" in out
    assert "DataPipeline demo/digits: created" in out
    assert "DataPipeline demo/digits: Complete: run 1 is complete (10 records (10 train))" in out
    assert "dataset  demo/digits  s3://lake/digits (version 0)" in out
    assert server.changes == [("PATCH", "digits"), ("PATCH", "digits")]
    assert server.objects["demo", "trainjobs", "digits"]["spec"] == yaml.safe_load(MANIFESTS.split("---\n")[1])["spec"]
    assert "demo/digits: Complete already (run 1); nothing to train" in typed("headrace run two.yaml --on-cluster")[1]
    assert len(server.changes) == 2


def test_run_of_what_fails_exits_with_1(server, typed):
    """run tells the condition's sentence, how to see the log, and its last lines."""
    owner = keep(
        server, Kind.DATA_PIPELINE, phase="Failed", conditions=[condition("Failed", "True", "BadData", "no labels")]
    )
    pod(server, owner, "d-r1a1-head", b"one\ntwo\n")
    Path("one.yaml").write_text(MANIFESTS.split("---\n", maxsplit=1)[0])
    code, out, _ = typed("headrace run one.yaml -n demo")
    assert code == 1
    assert "DataPipeline demo/digits: Failed: BadData: no labels" in out
    assert "  log: headrace logs datapipeline/digits -n demo; its last lines:\n  | one\n  | two\n" in out


def test_run_leaves_the_objects_at_its_timeout(server, typed):
    """--timeout exits with 1, and says what is waited for and that all goes on."""
    code, out, _ = typed("headrace run two.yaml -n demo --timeout 0.5")
    assert code == 1
    assert "not everything was finished after" in out
    assert "the objects stay on the cluster, and the operator goes on with them; `headrace status -n demo` shows them" in out  # fmt: skip
    assert len(server.objects) == 2


def test_ctrl_c_leaves_the_objects(server, typed):
    """SIGINT ends run with 130."""

    def interrupt():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    server.steps = [lambda: None, lambda: threading.Thread(target=interrupt).start()]
    code, out, _ = typed("headrace run two.yaml -n demo")
    assert code == 130
    assert "the objects stay on the cluster" in out
    assert len(server.objects) == 2


def test_ctrl_c_says_what_is_waited_for(server, typed):
    """Of each object that is not at its end, and how to end it."""

    def wait_in_vain():
        fact = condition("Ready", "False", "Unschedulable", "the pod p cannot be placed: no node; add one")
        server.status("trainjobs", "digits", phase="Pending", conditions=[fact])

    def interrupt():
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)

    server.steps = [lambda: None, wait_in_vain, lambda: threading.Thread(target=interrupt).start()]
    code, out, _ = typed("headrace run two.yaml -n demo")
    assert code == 130
    *_, fact, left = [line for line in out.splitlines() if line]
    assert fact.endswith("TrainJob demo/digits: Pending: Unschedulable: the pod p cannot be placed: no node; add one")
    assert "`headrace delete NAME -n demo` ends one" in left


def test_run_outlives_an_api_server_that_is_away(server, typed, monkeypatch):
    """A failing API server is asked again, which is told once."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    Path("one.yaml").write_text(MANIFESTS.split("---\n", maxsplit=1)[0])
    server.steps = [
        lambda: None,
        lambda: go_away(server),
        lambda: None,
        server.refusals.clear,
        lambda: server.status("datapipelines", "digits", phase="Complete"),
    ]
    code, out, _ = typed("headrace run one.yaml -n demo")
    assert code == 0
    assert out.count("rolling over; asking again") == 1


def test_run_gives_up_an_api_server_that_stays_away(server, typed, monkeypatch):
    """After a while without an answer the command ends with 1; the objects stay."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "UNHEARD_SECONDS", 0.2)
    server.steps = [lambda: None, lambda: go_away(server)]
    code, _, err = typed("headrace run two.yaml -n demo")
    assert (code, len(server.objects)) == (1, 2)
    assert "rolling over" in err


def go_away(server):
    server.refusals["GET", "trainjobs"] = fault(503, "ServiceUnavailable", "rolling over")


def test_run_says_when_no_operator_is_at_work(server, typed, monkeypatch):
    """Objects that nobody looks at are not waited for in silence."""
    monkeypatch.setattr(watch, "UNSEEN_SECONDS", 0.0)
    out = typed("headrace run two.yaml -n demo --timeout 2")[1]
    assert out.count("warning: no operator has looked at DataPipeline demo/digits for 0 s") == 1
