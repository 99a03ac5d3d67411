"""The server as a process of its own: right answers, sentences for wrong requests, and a clean end."""

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.api.artifacts import ModelVersion
from headrace.api.run_report import ReportPhase, RunReport
from headrace.api.run_spec import ServeSpec
from headrace.api.train_job import ModelSource
from headrace_workers.serve.instances import BODY_BYTES_MAX

torch = pytest.importorskip("torch")

IMAGE = [[float((row * column) % 17) for column in range(8)] for row in range(8)]
FLAT = [value for row in IMAGE for value in row]


def expected_probabilities(version: ModelVersion) -> list[float]:
    """What the version's network says of IMAGE, by plain torch."""
    from safetensors.torch import load_file

    weights = load_file(Path(version.uri.removeprefix("file://")) / "weights.safetensors")
    first, second = (name.removesuffix(".weight") for name in sorted(weights) if name.endswith(".weight"))
    inputs = torch.tensor(np.array(IMAGE, dtype=np.float32).reshape(1, 64) / 16)
    hidden = torch.relu(inputs @ weights[f"{first}.weight"].T + weights[f"{first}.bias"])
    probabilities: list[float] = torch.softmax(hidden @ weights[f"{second}.weight"].T + weights[f"{second}.bias"], -1)[
        0
    ].tolist()
    return probabilities


def test_a_version_is_served(start_role: Callable[..., Any], digits_version: ModelVersion) -> None:
    """Raw images get the network's own probabilities; each wrong request gets its sentence; the server stays alive."""
    server = start_role("server", ServeSpec(endpoint="digits", model=digits_version))
    server.wait_ready(server.http)

    status, answer = server.predict([IMAGE, FLAT, {"image": IMAGE, "id": "7"}])
    expected = expected_probabilities(digits_version)
    assert status == 200
    assert answer["modelVersion"] == digits_version.name
    for prediction in answer["predictions"]:
        assert prediction["probabilities"] == pytest.approx(expected, abs=1e-5)
        assert prediction["label"] == int(np.argmax(expected))

    assert server.predict([[1, 2]])[0] == 400
    assert "8x8 numbers" in server.predict([IMAGE, [1, 2]])[1]["error"]
    assert "too large for the model" in server.predict([[1e308] * 64])[1]["error"]
    oversized = urllib.request.Request(f"http://127.0.0.1:{server.http}/predict", data=b" " * (BODY_BYTES_MAX + 1))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(oversized, timeout=20)
    assert refused.value.code == 400
    assert "longer than" in json.loads(refused.value.read())["error"]

    assert server.get("/healthz")[0] == 200
    metrics = server.get("/metrics")[1].decode()
    assert 'headrace_server_requests_total{code="200"} 1.0' in metrics
    assert 'headrace_server_requests_total{code="400"} 4.0' in metrics
    assert f'version="{digits_version.name}"' in metrics


def test_sigterm_drains(
    start_role: Callable[..., Any], write_version: Callable[..., ModelVersion], tmp_path: Path
) -> None:
    """After SIGTERM the server is unready at once, still answers what comes in the drain time, finishes all, and exits 0."""
    source = ModelSource(module="slow_model:build", parameters={"seconds": 0.6})
    version = write_version(tmp_path / "models" / "slow", source, _no_weights())
    server = start_role(
        "server", ServeSpec(endpoint="digits", model=version), HEADRACE_DRAIN_SECONDS="1", **_path_of_tests()
    )
    server.wait_ready(server.http)

    statuses: list[int] = []
    ask = threading.Thread(target=lambda: statuses.append(server.predict([IMAGE])[0]))
    ask.start()
    time.sleep(0.2)
    server.process.terminate()
    asked_to_go = time.monotonic()
    while server.get("/readyz")[0] != 503:
        assert time.monotonic() - asked_to_go < 1
    late = threading.Thread(target=lambda: statuses.append(server.predict([IMAGE])[0]))
    late.start()
    ask.join()
    late.join()
    assert statuses == [200, 200]
    assert server.process.wait(timeout=60) == 0


def test_an_altered_version_is_refused(start_role: Callable[..., Any], digits_version: ModelVersion) -> None:
    """A version whose weights are not those that were published is never served, and the termination message says why."""
    weights = Path(digits_version.uri.removeprefix("file://")) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    server = start_role("server", ServeSpec(endpoint="digits", model=digits_version))
    assert server.process.wait(timeout=180) == 1
    report = RunReport.model_validate_json(server.termination_log.read_text())
    assert (report.phase, report.reason) == (ReportPhase.FAILED, "DigestMismatch")
    assert "is not the file that was published" in report.message


def _no_weights() -> bytes:
    from safetensors.torch import save

    return save({})


def _path_of_tests() -> dict[str, str]:
    return {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{Path(__file__).parent}"}
