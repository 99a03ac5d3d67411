"""The frame of a head: how a body ends is how the run's report ends."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from headrace.api import environment
from headrace.api.meta import Kind
from headrace.api.run_report import Records, ReportPhase, RunReport
from headrace.api.run_spec import RunIdentity, RunSpec
from headrace_workers.faults import RunFault
from headrace_workers.head import Head, run_head


@pytest.fixture(autouse=True)
def _handlers() -> Any:
    """Puts the process's handlers back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def take_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the next head a port of its own: a head answers to the end of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(environment.PORT_REPORT, str(free.getsockname()[1]))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The termination log of a pod that is told to run attempt 2 of run 1."""
    identity = RunIdentity(kind=Kind.TRAIN_JOB, namespace="default", name="a", uid="u", run=1, attempt=2, digest="d")
    spec = RunSpec(identity=identity, storage=(tmp_path / "run").as_uri(), publish=(tmp_path / "models").as_uri())
    (tmp_path / "run.json").write_text(spec.model_dump_json(by_alias=True))
    take_port(monkeypatch)
    monkeypatch.setenv(environment.RUN_SPEC, str(tmp_path / "run.json"))
    monkeypatch.setenv(environment.TERMINATION_LOG, str(tmp_path / "log"))
    monkeypatch.setenv(environment.TOKEN, "secret")
    return tmp_path / "log"


def final(log: Path) -> RunReport:
    return RunReport.model_validate(json.loads(log.read_text()))


def test_a_body_that_returns_is_complete(log: Path) -> None:
    """What the body returns stands in the final report, in the log and in the storage."""
    assert run_head(lambda _: {"records": Records(read=3)}) == 0
    assert (final(log).phase, final(log).attempt, final(log).records) == (ReportPhase.COMPLETE, 2, Records(read=3))
    assert (log.parent / "run" / "report.json").exists()


def test_a_finished_run_is_not_run_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod whose run finished before repeats the report and does nothing."""
    run_head(lambda _: {"records": Records(read=3)})
    take_port(monkeypatch)

    def again(_: Head) -> dict[str, Any]:
        raise AssertionError("the body ran twice")

    assert run_head(again) == 0
    assert final(log).records == Records(read=3)


def test_a_fault_ends_the_run_in_its_words(log: Path) -> None:
    """Reason, sentence and whether to retry are the fault's."""

    def body(_: Head) -> dict[str, Any]:
        raise RunFault("EmptyDataset", "there is nothing in it")

    assert run_head(body) == 1
    report = final(log)
    assert (report.phase, report.reason, report.message, report.retryable) == (
        ReportPhase.FAILED, "EmptyDataset", "there is nothing in it", False,
    )  # fmt: skip


def test_an_unexpected_error_may_be_tried_again(log: Path) -> None:
    """What nobody foresaw is told and may be tried again."""
    assert run_head(lambda _: {}["missing"]) == 1
    assert (final(log).reason, final(log).retryable) == ("UnexpectedError", True)


def test_sigterm_interrupts(log: Path) -> None:
    """A body that heeds the request to stop ends as Interrupted, which is neither done nor failed."""

    def body(head: Head) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        head.stopping.wait(5)
        head.check_stopping()
        return {}

    assert run_head(body) == 3
    assert final(log).phase == ReportPhase.INTERRUPTED
    assert not (log.parent / "run" / "report.json").exists()
