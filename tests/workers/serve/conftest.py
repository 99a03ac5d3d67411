"""What the tests of serving share: a tiny model version on disk, and roles as real processes."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.api import environment
from headrace.api.artifacts import DatasetVersion, JobReference, ModelVersion
from headrace.api.base import Model
from headrace.api.meta import Kind
from headrace.api.train_job import Builtin, ModelSource
from headrace_workers.model_version import ModelDocument, file_digest, version_digest

TOKEN = "secret-of-this-run"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Role:
    """A serving process and where it answers."""

    process: subprocess.Popen[bytes]
    http: int
    report: int
    termination_log: Path
    log: Path

    def get(self, path: str, port: int | None = None, token: str | None = None) -> tuple[int, bytes]:
        """Status and body of a GET on the http port, or on the port given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return answer_of(urllib.request.Request(f"http://127.0.0.1:{port or self.http}{path}", headers=headers))

    def predict(self, instances: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of POST /predict."""
        body = json.dumps({"instances": instances}).encode()
        status, text = answer_of(urllib.request.Request(f"http://127.0.0.1:{self.http}/predict", data=body))
        return status, json.loads(text)

    def wait_ready(self, port: int, seconds: float = 180) -> None:
        """Returns once /readyz answers 200."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.get("/readyz", port)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log.read_text()[-2000:]}")


def answer_of(request: urllib.request.Request) -> tuple[int, bytes]:
    """Status and body, whatever the status."""
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


StartRole = Callable[..., Role]


@pytest.fixture
def start_role(tmp_path: Path) -> Iterator[StartRole]:
    """Starts `python -m headrace_workers.serve <role>`; all that were started are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(role: str, spec: Model, **variables: str) -> Role:
        place = tmp_path / f"{role}-{len(started)}"
        place.mkdir()
        (place / "run.json").write_text(spec.model_dump_json(by_alias=True))
        http, report = free_port(), free_port()
        environ = {
            **os.environ,
            environment.RUN_SPEC: str(place / "run.json"),
            environment.TERMINATION_LOG: str(place / "termination"),
            environment.TOKEN: TOKEN,
            environment.PORT_HTTP: str(http),
            environment.PORT_REPORT: str(report),
            **variables,
        }
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "headrace_workers.serve", role], env=environ, stdout=log, stderr=log
            )
        started.append(process)
        return Role(process, http, report, place / "termination", place / "log")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=60)


def _write_version(folder: Path, source: ModelSource, weights: bytes, *, name: str = "digits-1a2b3-r1") -> ModelVersion:
    """A model version of digits with the scaling x / 16, published in a folder."""
    folder.mkdir(parents=True)
    scale = {"column": "image", "method": "MinMax", "offset": 0.0, "divisor": 16.0}
    classes = tuple(range(10))
    preprocessing = {
        "features": "image",
        "target": "label",
        "shape": [8, 8],
        "classes": classes,
        "steps": [{"scale": scale}],
    }
    contents = {"weights.safetensors": weights, "preprocessing.json": json.dumps(preprocessing).encode()}
    for file, data in contents.items():
        (folder / file).write_bytes(data)
    files = {file: file_digest(data) for file, data in contents.items()}
    document = ModelDocument(
        name=name,
        uri=folder.as_uri(),
        digest=version_digest(files, source, "image", "label", (8, 8), classes),
        dataset=DatasetVersion(uri="file:///lake/digits", version=0, digest="sha256:0"),
        job=JobReference(kind=Kind.TRAIN_JOB, name="digits", uid="1a2b3", run=1),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        source=source,
        features="image",
        target="label",
        shape=(8, 8),
        classes=classes,
        files=files,
    )
    (folder / "model.json").write_text(document.model_dump_json(by_alias=True))
    return ModelVersion.model_validate({field: getattr(document, field) for field in ModelVersion.model_fields})


@pytest.fixture
def write_version() -> Callable[..., ModelVersion]:
    """Publishes a model version of digits in a folder."""
    return _write_version


@pytest.fixture
def digits_version(tmp_path: Path) -> ModelVersion:
    """A Perceptron that was never trained, with fixed weights."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    from headrace_workers.models import build_network

    source = ModelSource(builtin=Builtin.PERCEPTRON, parameters={"hidden": 16, "layers": 1})
    torch.manual_seed(0)
    return _write_version(tmp_path / "models" / "digits", source, save(build_network(source, (8, 8), 10).state_dict()))
