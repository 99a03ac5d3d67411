"""The probe: raw requests out of a scaled table, a steady pace, and a score for each version."""

import base64
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.api.artifacts import DatasetVersion
from headrace.api.inference_endpoint import Probe
from headrace.api.run_report import ReportPhase, RunReport
from headrace.api.run_spec import ProbeSpec
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.serve import held_out
from headrace_workers.serve.held_out import held_out_records
from headrace_workers.serve.pace import Pace
from headrace_workers.serve.scores import Scores
from tests.workers.sounds import AUGMENT, DECODE, FEATURES, SCALE, SPLIT, tones_version
from tests.workers.texts import records, texts_version

TOKEN = "secret-of-this-run"


@pytest.fixture
def digits_spec(tmp_path: Path) -> ProbeSpec:
    """A table of 40 scaled images, whose first pixel was the label, half of them held out."""
    deltalake = pytest.importorskip("deltalake")
    import pyarrow as pa

    scale = {"column": "image", "method": "MinMax", "offset": 2.0, "divisor": 16.0}
    document = {
        "features": "image",
        "target": "label",
        "shape": [8, 8],
        "classes": list(range(10)),
        "steps": [{"scale": scale}],
    }
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "preprocessing.json").write_text(json.dumps(document))
    raw = [[float(n % 10)] + [3.0] * 63 for n in range(40)]
    columns = {
        "id": [f"record-{n}" for n in range(40)],
        "image": [((np.array(one) - 2) / 16).astype(np.float32).tolist() for one in raw],
        "label": [n % 10 for n in range(40)],
        "split": ["validation" if n % 2 else "train" for n in range(40)],
    }
    deltalake.write_deltalake(str(tmp_path / "digits"), pa.table(columns))
    dataset = DatasetVersion(
        uri=(tmp_path / "digits").as_uri(), version=0, digest="sha256:0", artifacts=(tmp_path / "artifacts").as_uri()
    )
    return ProbeSpec(endpoint="digits", dataset=dataset, probe=Probe(requests_per_second=100))


class FakeRouter(ThreadingHTTPServer):
    """Answers the first pixel as the label; every fifth answer comes from a candidate that is always wrong, every tenth fails."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeRouterHandler)
        self.arrivals: list[float] = []
        self.lock = threading.Lock()


class FakeRouterHandler(BaseHTTPRequestHandler):
    """One connection of the probe."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """POST /predict."""
        assert isinstance(self.server, FakeRouter)
        image = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"][0]
        with self.server.lock:
            self.server.arrivals.append(time.monotonic())
            count = len(self.server.arrivals)
        label = round(image[0][0]) if count % 5 else -1
        body = json.dumps({"predictions": [{"label": label}]}).encode()
        self.send_response(500 if count % 10 == 0 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Headrace-Model-Version", "stable" if count % 5 else "candidate")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture
def fake_router() -> Iterator[FakeRouter]:
    """A router of two versions."""
    with FakeRouter() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_held_out_records_are_raw(digits_spec: ProbeSpec) -> None:
    """Requests carry images as users have them, before scaling, of the held-out split alone, each with its label."""
    records = held_out_records(digits_spec)
    assert len(records) == 20
    for record in records:
        image = np.array(json.loads(record.body)["instances"][0])
        assert image.shape == (8, 8)
        assert image[0, 0] == pytest.approx(record.target, abs=1e-5)
        assert image[1:] == pytest.approx(3.0)


def test_the_order_of_records_is_their_own(digits_spec: ProbeSpec) -> None:
    """Two probes send the same records in the same order, and not in the order of the table."""
    records = held_out_records(digits_spec)
    assert records == held_out_records(digits_spec)
    assert [record.target for record in records] != [n % 10 for n in range(40) if n % 2]


def test_applying_undoes_the_inverse() -> None:
    """Scaling what `inverse` gives yields what was in the table."""
    scale = {"column": "x", "method": "Standard", "offset": [1.0, -2.0], "divisor": [3.0, 0.5]}
    fitted = Preprocessing.model_validate({"features": "x", "steps": [{"scale": scale}]})
    table = [[0.25, -1.5], [7.0, 0.0]]
    assert fitted.apply(fitted.inverse(table).tolist()) == pytest.approx(np.array(table))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "species"}, "ColumnMissing"),
        ({"dataset": {"version": 7}}, "DatasetMissing"),
        ({"dataset": {"format": "iceberg"}}, "NotSupported"),
        ({"dataset": {"artifacts": "file:///nowhere"}}, "ArtifactsMissing"),
    ],
)
def test_what_cannot_be_probed_is_said(digits_spec: ProbeSpec, changes: dict[str, Any], reason: str) -> None:
    """A table, version, column or artifact that is not there is a fault with its own reason."""
    if nested := changes.get("dataset"):
        changes = {"dataset": digits_spec.dataset.model_copy(update=nested)}
    with pytest.raises(RunFault) as caught:
        held_out_records(digits_spec.model_copy(update=changes))
    assert caught.value.reason == reason


def test_texts_are_sent_as_texts(tmp_path: Path) -> None:
    """What users send is the text that the tokens were made of, and for a model that writes there is no right answer."""
    version = texts_version(tmp_path, each=30, method="Words")
    texts = {record["text"]: record["label"] for record in records(30)}
    probe = Probe(requests_per_second=100)
    sent = held_out_records(ProbeSpec(endpoint="texts", dataset=version, probe=probe))
    assert len(sent) == version.splits["validation"]
    assert all(texts[json.loads(one.body)["instances"][0]] == one.target for one in sent)
    without = held_out_records(ProbeSpec(endpoint="texts", dataset=version, probe=probe, target=""))
    assert [(one.body, None) for one in sent] == [(one.body, one.target) for one in without]


def test_sounds_are_sent_as_they_were_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Base64 of the file, never of an altered copy, which has none; not so many of them as of numbers."""
    version = tones_version(tmp_path, DECODE, SPLIT, AUGMENT, FEATURES, SCALE)
    contents = {
        base64.b64encode(file.read_bytes()).decode(): file.parent.name for file in (tmp_path / "tones").rglob("*.*")
    }
    for split in ("validation", "train"):
        probe = Probe(split=split, requests_per_second=100)
        sent = held_out_records(ProbeSpec(endpoint="tones", dataset=version, probe=probe))
        assert len(sent) == (version.splits[split] // 2 if split == "train" else version.splits[split])
        assert all(contents[json.loads(one.body)["instances"][0]] == one.target for one in sent)
    monkeypatch.setattr(held_out, "ENCODED_MAX", 2)
    assert len(held_out_records(ProbeSpec(endpoint="tones", dataset=version, probe=probe))) == 2


def test_sounds_that_were_not_kept_cannot_be_sent(tmp_path: Path) -> None:
    """The sentence says what the pipeline has to do."""
    decode = {"decodeSound": {**DECODE["decodeSound"], "keepContent": False}}
    version = tones_version(tmp_path, decode, SPLIT, FEATURES)
    with pytest.raises(RunFault, match=r"has no column content; .*; set keepContent in the pipeline"):
        held_out_records(ProbeSpec(endpoint="tones", dataset=version, probe=Probe(requests_per_second=100)))


def test_an_answer_without_a_right_one_is_not_judged() -> None:
    """Accuracy is of labels."""
    scores = Scores()
    scores.add("v", {"predictions": [{"text": "import os"}]}, None)
    assert scores.metrics() == {"unrouted": 0.0}


def test_lost_time_is_not_made_up_for() -> None:
    """After a pause the next request goes at once and the one after it a full interval later."""
    pace = Pace(per_second=10.0, due=0.0)
    assert pace.wait_seconds(0.0) == 0.0
    assert pace.wait_seconds(0.02) == pytest.approx(0.08)
    assert pace.wait_seconds(5.0) == 0.0
    assert pace.wait_seconds(5.0) == pytest.approx(0.1)


def test_labels_as_text_and_as_numbers_are_the_same() -> None:
    """A class that the model names "3" and the table 3 counts as right."""
    scores = Scores()
    scores.add("v", {"predictions": [{"label": "3"}]}, 3)
    scores.add("v", {"predictions": [{"label": 4}]}, 3)
    assert scores.metrics() == {"accuracy/v": 0.5, "unrouted": 0.0}


def test_a_probe_scores_each_version(
    start_role: Callable[..., Any], digits_spec: ProbeSpec, fake_router: FakeRouter
) -> None:
    """A running probe reports accuracy, requests and errors by version, keeps its pace, and ends on SIGTERM with 0."""
    address = f"127.0.0.1:{fake_router.server_port}"
    probe = start_role("probe", digits_spec, HEADRACE_ROUTER_ADDRESS=address)
    probe.wait_ready(probe.report)
    time.sleep(1.5)
    assert probe.get("/report", probe.report)[0] == 401
    report = RunReport.model_validate_json(probe.get("/report", probe.report, TOKEN)[1])
    assert report.phase == ReportPhase.RUNNING
    assert report.metrics["accuracy/stable"] == 1.0
    assert report.metrics["accuracy/candidate"] == 0.0
    stable, candidate = report.versions["stable"], report.versions["candidate"]
    assert stable.errors == 0
    assert stable.requests == pytest.approx(4 * candidate.requests, abs=5)
    assert candidate.errors == pytest.approx(candidate.requests / 2, abs=2)
    assert len(fake_router.arrivals) / (fake_router.arrivals[-1] - fake_router.arrivals[0]) < 115
    probe.process.send_signal(signal.SIGTERM)
    assert probe.process.wait(timeout=60) == 0
    assert RunReport.model_validate_json(probe.termination_log.read_text()).phase == ReportPhase.INTERRUPTED


def test_a_probe_stops_by_itself(start_role: Callable[..., Any], digits_spec: ProbeSpec) -> None:
    """After its time a probe ends complete, even where no router ever answered."""
    probe = start_role("probe", digits_spec, HEADRACE_ROUTER_ADDRESS="127.0.0.1:1", HEADRACE_PROBE_SECONDS="0.5")
    assert probe.process.wait(timeout=120) == 0
    report = RunReport.model_validate_json(probe.termination_log.read_text())
    assert report.phase == ReportPhase.COMPLETE
    assert report.metrics["unrouted"] > 0
