"""A whole TuneJob's run in real processes: one head and workers on loopback, on real digits."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from headrace.api import environment
from headrace.api.artifacts import ModelVersion
from headrace.api.run_report import RunReport
from headrace_workers.model_version import ModelFolder
from headrace_workers.storage import Folder
from headrace_workers.tune.journal import Journal, Started, records
from tests.workers.train.digits import digits_version
from tests.workers.tune.builders import MODEL, RATE, head_of, tune_spec

pytestmark = [pytest.mark.ray, pytest.mark.workers]

SOURCES = Path(__file__).parents[3]
TOKEN = "a-token-of-this-run-and-no-other"
SECONDS = 240
"""Generous: importing torch takes 3 s on an idle machine and a minute on a busy one."""
BYTECODE = Path(tempfile.gettempdir()) / "headrace-tests-bytecode"


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """One run's pods as processes; each head is a new attempt with new workers."""

    def __init__(self, folder, spec):
        self.folder, self.ports, self.pods = folder, {}, []
        # Socket paths are short, so Ray's folder cannot lie in pytest's.
        self.temp = Path(tempfile.mkdtemp(prefix="hr-"))
        run = head_of(folder, spec).spec.model_copy(update={"dataset": digits_version(folder)})
        (folder / "run.json").write_text(run.model_dump_json(by_alias=True))

    def start(self, name, module):
        """Starts a pod."""
        variables = {
            "PYTHONPATH": f"{SOURCES / 'operator'}:{SOURCES / 'workers'}",
            "HEADRACE_RAY_TEMP": str(self.temp),
            "PYTHONPYCACHEPREFIX": str(BYTECODE),
            environment.POD_NAME: name,
            environment.POD_IP: "127.0.0.1",
            environment.TOKEN: TOKEN,
            environment.RUN_SPEC: str(self.folder / "run.json"),
            environment.TERMINATION_LOG: str(self.folder / f"{name}.termination"),
            environment.HEAD_ADDRESS: f"127.0.0.1:{self.ports['ray']}",
            environment.PORT_RAY: str(self.ports["ray"]),
            environment.PORT_REPORT: str(self.ports["report"]),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            pod = subprocess.Popen(
                [sys.executable, "-m", module],
                env=os.environ | variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pods.append(pod)
        return pod

    def attempt(self, workers):
        """Ends what is left of the attempt before, starts a head and its workers, and returns both."""
        self.end()
        self.ports = {"ray": free_port(), "report": free_port()}
        head = self.start("head", "headrace_workers.tune")
        return head, [self.start(f"worker-{number}", "headrace_workers.ray_worker") for number in range(workers)]

    def report(self):
        """The live report, or none while the head does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['report']}/report", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return RunReport.model_validate_json(answer.read())
        except OSError:
            return None

    def until(self, fact):
        """Waits until the live report satisfies `fact` and returns it."""
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            if (report := self.report()) and fact(report):
                return report
            time.sleep(0.1)
        raise AssertionError(f"not within {SECONDS} s: {(self.folder / 'head.log').read_text()[-3000:]}")

    def final(self):
        """The head's last report."""
        return RunReport.model_validate_json((self.folder / "head.termination").read_text())

    def end(self):
        """Ends every pod that still runs."""
        for pod in self.pods:
            if pod.poll() is None:
                os.killpg(pod.pid, signal.SIGTERM)
        for pod in self.pods:
            pod.wait(15)
        self.pods = []

    def close(self):
        """Leaves neither processes nor sockets."""
        self.end()
        shutil.rmtree(self.temp, ignore_errors=True)


@pytest.fixture
def run(tmp_path):
    """Makes a run and ends its processes afterwards."""
    made = []

    def make(**changes):
        made.append(Run(tmp_path, tune_spec(**changes)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_search_chooses_a_model_and_publishes_it(run, tmp_path):
    """Four trials on two workers end as a model version with weights, preprocessing, lineage and the picture."""
    search = run(search=[RATE, MODEL], budget={"trials": 4, "parallel": 2}, algorithm={"random": {}}, seed=3)
    head, _ = search.attempt(2)
    assert head.wait(SECONDS) == 0, (tmp_path / "head.log").read_text()[-3000:]
    report = search.final()
    assert report.phase == "Complete", report.message
    assert (report.trials.complete, report.progress.step, report.progress.total) == (4, 4, 4)
    assert report.model.trial == report.best_trial.number
    assert report.model.metrics["accuracy"] == report.best_trial.value > 0.8
    folder = ModelFolder.open(ModelVersion.model_validate(report.model.model_dump()))
    assert folder.document.source.builtin == report.best_trial.parameters["model.builtin"]
    assert folder.read("tuning.png").startswith(b"\x89PNG")
    assert folder.document.name == "search-01234-r1"
    assert len((tmp_path / "run" / "curve.jsonl").read_text().splitlines()) == 4


@pytest.mark.slow
def test_a_search_survives_its_workers_and_its_heads(run, tmp_path):
    """A killed worker, SIGTERM and a killed head later it has run every trial with the values it was given first."""
    template = {
        "dataset": {"pipeline": "digits"},
        "model": {"builtin": "Perceptron"},
        "epochs": 60,
        "checkpoints": {"everySteps": 50},
    }
    search = run(
        template=template,
        budget={"trials": 6, "parallel": 2},
        earlyStopping={"asha": {"graceEpochs": 5}},
        algorithm={"random": {}},
    )
    head, workers = search.attempt(2)
    search.until(lambda report: report.trials and report.trials.running == 2)
    workers[0].kill()
    journal = Journal(Folder(f"file:{tmp_path}/run"))
    # Ray takes seconds to notice; a head that is stopped before that has nothing to count.
    search.until(lambda report: any(trial.losses for trial in records(journal.read())[0]))
    search.until(lambda report: report.trials.complete >= 1)
    asked_at = time.monotonic()
    head.send_signal(signal.SIGTERM)
    assert head.wait(SECONDS) == 3
    assert time.monotonic() - asked_at < 5
    assert search.final().phase == "Interrupted"

    head, _ = search.attempt(1)
    ended = search.until(
        lambda report: report.trials and report.trials.running == 1 and report.stage.startswith("trial")
    ).progress.step
    os.killpg(head.pid, signal.SIGKILL)
    head.wait(SECONDS)

    head, _ = search.attempt(1)
    assert head.wait(SECONDS) == 0, (tmp_path / "head.log").read_text()[-3000:]
    report = search.final()
    events = journal.read()
    trials, in_order = records(events)
    assert [event.number for event in events if isinstance(event, Started)] == list(range(6))
    assert sorted(trial.number for trial in in_order) == list(range(6)), "each trial ended once"
    assert sum(trial.losses for trial in trials) >= 1
    assert 1 <= ended < 6
    assert report.progress.step == 6
    lines = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 7))
