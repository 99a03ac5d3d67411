"""The commands as a person types them: what they print, and the exit code that a script sees."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml

import headrace as headrace_package
from headrace.api.edits import spec_digest
from headrace.api.meta import Kind
from headrace.api.status import Incident, Phase
from headrace.cli import main
from headrace.cli.app import app
from headrace.cli.completion import complete_names
from headrace.cli.state import settings
from headrace.local import LocalCluster

GOOD = """\
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
BAD = """\
apiVersion: headrace.dev/v1alpha1
kind: DataPipeline
metadata: {name: reviews}
spec:
  source: {kafka: {brokers: ["k:9092"], topics: [t]}}
  sink: {delta: {}}
---
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: digits}
spec:
  dataset: {pipeline: digit}
  model: {builtin: Perceptron}
  epocs: 1
---
apiVersion: headrace.dev/v1alpha1
kind: TrainJob
metadata: {name: other}
spec:
  dataset: {pipeline: review}
  model: {builtin: Perceptron}
  epochs: 1
  rollout: {endpoint: digits}
"""
BAD_TOLD = """\
bad.yaml:5: DataPipeline reviews: spec.source.kafka is not built yet for mode Batch; use files, sample or sql
bad.yaml:14: TrainJob digits: spec.epocs: unknown field; did you mean epochs?
bad.yaml:20: TrainJob other: spec.dataset.pipeline: there is no DataPipeline review in these files or in the state folder; did you mean reviews?
bad.yaml:23: TrainJob other: spec.rollout.endpoint: there is no InferenceEndpoint digits in these files or in the state folder; \
add an InferenceEndpoint of that name
headrace: 4 problems; nothing was done
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every command runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADRACE_STATE_DIR", raising=False)
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(BAD)
    return tmp_path


@pytest.fixture
def headrace(capsys):
    """Runs a command line; answers exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def _environment() -> dict[str, str]:
    """This process's, with the path to the package made absolute: tests change the current folder."""
    return os.environ | {"PYTHONPATH": str(Path(headrace_package.__file__).parent.parent)}


def _keep(*resources, status=None):
    """Has the state folder hold the objects, with a status where one is given."""

    async def body():
        state = Path(".headrace")
        async with LocalCluster.open(state, settings(state)) as cluster:
            for resource in resources:
                await cluster.put(resource)
                observed = await cluster.observe(resource.key)
                await cluster.save_status(observed, resource.status)

    asyncio.run(body())


def test_good_manifests_are_valid(headrace):
    """validate counts the objects."""
    assert headrace("validate", "good.yaml") == (0, "2 objects are valid\n", "")


def test_a_folder_of_manifests_is_read_whole(headrace):
    """A folder stands for every YAML file in it."""
    Path("folder").mkdir()
    Path("folder/a.yaml").write_text(GOOD)
    assert headrace("validate", "folder") == (0, "2 objects are valid\n", "")


def test_every_problem_is_told_with_its_line(headrace):
    """validate lists all problems of all objects and exits with 2; nothing faulty is told twice."""
    assert headrace("validate", "bad.yaml") == (2, "", BAD_TOLD)


def test_run_refuses_what_validate_refuses(headrace):
    """run tells the same problems and leaves no state folder behind."""
    code, _, err = headrace("run", "bad.yaml")
    assert (code, err) == (2, BAD_TOLD)
    assert not Path(".headrace").exists()


def test_a_reference_into_the_state_folder_is_no_problem(headrace, pipeline):
    """A job may name a pipeline that an earlier command made."""
    Path("job.yaml").write_text(GOOD.split("---\n")[1])
    assert headrace("validate", "job.yaml")[0] == 2
    _keep(pipeline())
    assert headrace("validate", "job.yaml")[0] == 0


@pytest.mark.parametrize(
    ("file", "told"), [("missing.yaml", "there is no file missing.yaml"), (".", "has no .yaml file")]
)
def test_a_file_that_is_not_there_is_a_sentence(headrace, folder, file, told):
    """A wrong file name ends with 2 and no traceback."""
    for path in folder.glob("*.yaml"):
        path.unlink()
    code, _, err = headrace("validate", file)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_plan_tells_what_would_be_made_and_makes_nothing(headrace):
    """plan names the pods of what can start and the reason of what must wait."""
    code, out, _ = headrace("plan", "good.yaml")
    assert code == 0
    assert "DataPipeline digits: created; Pending" in out
    assert "python -m headrace_workers.data" in out
    assert "TrainJob digits: created; waits for DataPipeline digits to finish" in out
    assert not Path(".headrace").exists()


def test_plan_prints_the_manifests(headrace):
    """plan -o yaml is the list of what would be created."""
    made = yaml.safe_load(headrace("plan", "good.yaml", "-o", "yaml")[1])["items"]
    assert {one["kind"] for one in made} == {"ConfigMap", "Secret", "Service", "Pod"}


def test_plan_tells_a_refused_edit(headrace, pipeline):
    """plan exits with 2 where run would be refused."""
    Path("good.yaml").write_text(GOOD.replace("{delta: {}}", "{delta: {uri: 's3://lake/digits'}}"))
    _keep(pipeline())
    code, out, err = headrace("plan", "good.yaml")
    assert code == 2
    assert "DataPipeline digits: refused\n  sink is immutable; delete the object and create it anew\n" in out
    assert err == "headrace: 1 edit would be refused\n"


def test_run_tells_a_refused_edit(headrace, pipeline):
    """run exits with 2 and the refusal when an edit may not be made."""
    Path("good.yaml").write_text(GOOD.replace("{delta: {}}", "{delta: {uri: 's3://lake/digits'}}"))
    _keep(pipeline())
    code, _, err = headrace("run", "good.yaml")
    assert code == 2
    assert "sink is immutable; delete the object and create it anew" in err


def test_run_of_what_is_finished_says_so_and_ends(headrace, pipeline, train, dataset, model):
    """run with nothing left to do tells each result and where it is, and exits with 0."""
    done = pipeline(phase=Phase.COMPLETE, run=1, dataset=dataset)
    _finish(done, train("digits", {"rollout": None}, phase=Phase.COMPLETE, run=1, model=model()))
    code, out, err = headrace("run", "good.yaml")
    assert (code, err) == (0, "")
    assert "digits: Complete already (run 1, accuracy 0.978); nothing to train" in out
    assert "model      digits  /state/storage/models/digits-abcde-r1" in out
    assert "\x1b" not in out


def test_run_of_what_failed_exits_with_1(headrace, pipeline, train, dataset):
    """run tells the failure's sentence and exits with 1."""
    incident = Incident(time=datetime(2026, 1, 2, tzinfo=UTC), attempt=1, reason="BadData", message="no labels")
    failed = train("digits", {"rollout": None}, phase=Phase.FAILED, run=1, incidents=(incident,))
    _finish(pipeline(phase=Phase.COMPLETE, run=1, dataset=dataset), failed)
    code, out, _ = headrace("run", "good.yaml")
    assert code == 1
    assert "digits: Failed already (run 1)" in out
    assert "TrainJob digits: Failed: BadData: no labels" in out


def _finish(*resources):
    """Keeps objects whose status belongs to their spec, as the planner would have left it."""
    _keep(
        *(
            one.model_copy(update={"status": one.status.model_copy(update={"digest": spec_digest(one.spec)})})
            for one in resources
        )
    )


HUGE = GOOD.split("---", maxsplit=1)[0] + "  workers: {resources: {cpu: 4000}}\n"
"""A pipeline that no machine has room for: it waits for ever, and never has a process."""


def test_run_ends_at_its_timeout(headrace):
    """--timeout stops in order, exits with 1 and says how to go on."""
    Path("huge.yaml").write_text(HUGE)
    code, out, _ = headrace("run", "huge.yaml", "--timeout", "1")
    assert code == 1
    assert "not everything was finished after 1 s, the --timeout" in out
    assert "stopped; the same command resumes: headrace" in out


def test_ctrl_c_stops_in_order():
    """SIGINT ends run with 130 and says that the same command resumes."""
    Path("huge.yaml").write_text(HUGE)
    command = [sys.executable, "-m", "headrace.cli", "run", "huge.yaml"]
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = iter(process.stdout.readline, "")
        assert any("Starting" in line for line in lines)
        process.send_signal(signal.SIGINT)
        rest = "".join(lines)
    assert process.returncode == 130
    assert "stopping: workers checkpoint first…" in rest
    assert "stopped; the same command resumes: headrace run huge.yaml" in rest
    assert "Traceback" not in rest


def test_status_of_nothing_says_how_to_begin(headrace):
    """An empty state folder is not an error."""
    assert headrace("status") == (0, "nothing is in .headrace yet; `headrace run FILE` starts something\n", "")


def test_status_shows_every_object(headrace, pipeline, train):
    """status is a table of all objects."""
    _keep(pipeline(phase=Phase.COMPLETE), train(phase=Phase.RUNNING, percent=45))
    code, out, _ = headrace("status")
    assert code == 0
    assert "DataPipeline digits" in out
    assert "45 %" in out


def test_status_says_when_nobody_keeps_it_fresh(headrace, train):
    """What was saved by a command that has ended is not shown as if it held now."""
    note = "as last saved: no headrace command works on this state folder now"

    async def body():
        state = Path(".headrace")
        async with LocalCluster.open(state, settings(state)) as cluster:
            await cluster.put(train())
            return await asyncio.to_thread(headrace, "status")

    assert note not in asyncio.run(body())[1]
    assert note in headrace("status")[1]


def test_status_of_one_object_shows_conditions_and_lineage(headrace, train, model, condition):
    """status NAME tells conditions, and where the model came from."""
    _keep(
        train(
            phase=Phase.COMPLETE,
            run=1,
            attempt=2,
            model=model(),
            conditions=(condition("Complete", "True", "Complete", "run 1 is complete"),),
        )
    )
    out = headrace("status", "tj/digits")[1]
    assert "Complete=True Complete: run 1 is complete" in out
    assert "made by TrainJob digits, run 1 (uid digits-uid)" in out
    assert "dataset version 3 (sha256:data) in /state/storage/digits: 1,797 records" in out


def test_status_as_data_is_the_object(headrace, train):
    """status NAME -o json is the whole object."""
    _keep(train(phase=Phase.RUNNING))
    assert json.loads(headrace("status", "digits", "-o", "json")[1])["status"]["phase"] == "Running"


def test_status_of_an_unknown_name_offers_close_ones(headrace, train):
    """A misspelt name exits with 2 and the nearest name."""
    _keep(train())
    assert headrace("status", "digit") == (2, "", "headrace: there is no digit; did you mean trainjob/digits?\n")


def test_delete_keeps_the_data_and_tells_where(headrace, train, model):
    """delete removes the object and names the model's folder."""
    _keep(train(phase=Phase.COMPLETE, model=model()))
    told = "TrainJob digits: deleted; its data stays in /state/storage/models/digits-abcde-r1\n"
    assert headrace("delete", "trainjob/digits") == (0, told, "")
    assert headrace("status")[1].startswith("nothing is in .headrace")


def test_delete_of_nothing_in_particular_is_refused(headrace):
    """delete without a name deletes nothing."""
    assert headrace("delete") == (2, "", "headrace: name the objects to delete, or write --all\n")


def test_delete_all_deletes_everything(headrace, train, pipeline):
    """delete --all leaves no object."""
    _keep(train(), pipeline())
    assert headrace("delete", "--all")[0] == 0
    assert headrace("status")[1].startswith("nothing is in .headrace")


def test_stop_without_a_state_folder_is_a_sentence(headrace):
    """stop where nothing ever ran says so."""
    code, _, err = headrace("stop")
    assert (code, err) == (1, "headrace: there is no state folder .headrace; name another with --state-dir\n")


def test_stop_where_nothing_runs_ends_at_once(headrace, train):
    """stop is done when nothing runs."""
    _keep(train())
    code, out, _ = headrace("stop")
    assert code == 0
    assert "nothing runs in .headrace any more" in out


def test_a_folder_in_use_is_a_sentence(headrace, train):
    """A second command on one state folder is told who works there."""

    async def body():
        state = Path(".headrace")
        async with LocalCluster.open(state, settings(state)) as cluster:
            await cluster.put(train())
            command = [sys.executable, "-m", "headrace.cli", "delete", "--all"]
            return await asyncio.to_thread(
                subprocess.run, command, env=_environment(), capture_output=True, text=True, timeout=60, check=False
            )

    ended = asyncio.run(body())
    assert ended.returncode == 1
    assert "is in use by headrace run (pid" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_crds_are_the_four_definitions(headrace):
    """crds prints one definition a kind."""
    documents = list(yaml.safe_load_all(headrace("crds")[1]))
    assert [one["spec"]["names"]["kind"] for one in documents] == [str(kind) for kind in Kind]


def test_completion_offers_what_the_state_folder_holds(train, pipeline):
    """Tab offers kind/name for every object, and the bare name where it means one."""
    _keep(train(), pipeline("reviews"))
    assert _completed("") == ["datapipeline/reviews", "digits", "reviews", "trainjob/digits"]
    assert _completed("dat") == ["datapipeline/reviews"]


@pytest.mark.parametrize("given", [{"namespace": "demo"}, {"context": "prod"}])
def test_completion_offers_nothing_of_another_world(train, given):
    """Where a cluster is meant, Tab does not offer what the state folder holds."""
    _keep(train())
    assert _completed("", **given) == []


def _completed(word, **given):
    context = typer.Context(typer.main.get_command(app))
    context.params = given
    return complete_names(context, word)


def test_help_imports_neither_the_api_nor_yaml():
    """--help answers before anything heavy is imported."""
    code = (
        "import sys\nfrom headrace.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n"
        "    print(sorted({'headrace.api', 'yaml', 'pydantic', 'aiohttp', 'ray', 'torch'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


def test_an_unexpected_error_is_one_line(headrace, monkeypatch):
    """A bug ends with 1 and a line that says how to see more."""
    monkeypatch.setattr("headrace.cli.crds.crds_text", lambda: 1 / 0)
    assert headrace("crds") == (1, "", "headrace: ZeroDivisionError: division by zero (HEADRACE_DEBUG=1 shows where)\n")
