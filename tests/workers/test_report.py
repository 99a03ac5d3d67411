"""The run's own account: for the bearer of the token only, and never too long."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.api.run_report import TERMINATION_MESSAGE_BYTES, ReportPhase, RunReport
from headrace_workers.pod import Pod
from headrace_workers.report import CURVE_POINTS, Reporter
from headrace_workers.storage import Folder


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[Reporter]:
    """A reporter that answers on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pod = Pod("p", "127.0.0.1", "secret", tmp_path / "log", tmp_path / "spec", {"report": port})
    made = Reporter(pod, Folder(tmp_path.as_uri()), run=1, attempt=2)
    made.serve()
    yield made
    made.close()


def ask(reporter: Reporter, token: str, path: str = "/report", headers: dict[str, str] | None = None) -> RunReport:
    port = reporter._pod.ports["report"]
    sent = {"Authorization": f"Bearer {token}"} if headers is None else headers
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=sent)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return RunReport.model_validate(json.load(answer))


def test_the_bearer_reads_the_report(reporter: Reporter) -> None:
    """The newest report is answered."""
    reporter.update(phase=ReportPhase.RUNNING, stage="steps")
    report = ask(reporter, "secret")
    assert (report.phase, report.stage, report.attempt) == (ReportPhase.RUNNING, "steps", 2)


def test_the_token_may_stand_in_a_header_that_proxies_pass_on(reporter: Reporter) -> None:
    """Whatever Authorization says then."""
    assert ask(reporter, "", headers={"Headrace-Token": "secret"}).attempt == 2
    with pytest.raises(urllib.error.HTTPError):
        ask(reporter, "", headers={"Headrace-Token": "guess", "Authorization": "Bearer guess"})


@pytest.mark.parametrize(
    ("token", "path", "code"), [("wrong", "/report", 401), ("", "/report", 401), ("secret", "/other", 404)]
)
def test_others_are_refused(reporter: Reporter, token: str, path: str, code: int) -> None:
    """Without the token, or elsewhere, there is nothing to read."""
    with pytest.raises(urllib.error.HTTPError) as refusal:
        ask(reporter, token, path)
    assert refusal.value.code == code


def test_the_curve_is_thinned_in_the_report_and_whole_in_the_storage(reporter: Reporter, tmp_path: Path) -> None:
    """The report keeps a bounded curve with its first and last point; the storage has every point."""
    for step in range(500):
        reporter.record(step, {"loss": 1.0})
    curve = reporter.current.curve
    assert len(curve) <= CURVE_POINTS
    assert (curve[0].step, curve[-1].step) == (0, 499)
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 500


def test_the_final_report_fits_into_a_termination_message(reporter: Reporter, tmp_path: Path) -> None:
    """Curve and metrics give way before the message would be cut."""
    metrics = {f"metric-{number}": float(number) for number in range(500)}
    reporter.finish(phase=ReportPhase.COMPLETE, metrics=metrics)
    text = (tmp_path / "log").read_text()
    assert len(text.encode()) <= TERMINATION_MESSAGE_BYTES
    assert RunReport.model_validate_json(text).phase == ReportPhase.COMPLETE
