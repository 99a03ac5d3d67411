"""Weights & Biases, without its servers: wandb's own offline mode writes what it would send. Skipped where wandb is not installed."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from headrace.api.tracking import WeightsAndBiases
from headrace_workers.faults import RunFault
from headrace_workers.train.tracking.delivery import Delivery
from headrace_workers.train.tracking.tracker import End, Point, Subject
from headrace_workers.train.tracking.weights_and_biases import WandbTracker

SPEC = WeightsAndBiases.model_validate({"project": "digits", "secret": "wandb-login"})
SUBJECT = Subject(
    "0a1b2c3d-r1", "digits-0a1b2-r1", {"optimizer.learningRate": "0.003"}, {"headrace.dataset.version": "7"}
)
HEADER, BLOCK_HEADER = 7, 7

needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="the package wandb is not installed; see requirements/wandb.txt"
)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that wandb writes to."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    return tmp_path


def records(folder: Path) -> list[Any]:
    """What wandb wrote of its one run: records behind headers of a checksum, a length and a sort."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    data, place, found = file.read_bytes(), HEADER, []
    while place + BLOCK_HEADER <= len(data):
        length = struct.unpack("<H", data[place + 4 : place + 6])[0]
        found.append(Record.FromString(data[place + BLOCK_HEADER : place + BLOCK_HEADER + length]))
        place += BLOCK_HEADER + length
    return found


def history(found: list[Any]) -> list[dict[str, float]]:
    """The values by step."""
    rows = []
    for each in found:
        if each.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in each.history.item}
            rows.append({name: value for name, value in row.items() if not name.startswith("_") or name == "_step"})
    return rows


@needs_wandb
def test_a_run_is_written_with_all_that_it_was_told(offline: Path) -> None:
    """Its id, project, parameters, curve by step, facts and end; a step that comes again is not taken again."""
    delivery = Delivery(WandbTracker(SPEC, SUBJECT, {"WANDB_API_KEY": "k" * 40}))
    delivery.tell(
        [Point(step, {"trainLoss": 1 / step}, time.time()) for step in (1, 10, 20)], {"headrace.attempt.1": "2 workers"}
    )
    delivery.tell([Point(10, {"trainLoss": 9.0}, time.time()), Point(20, {"final.accuracy": 0.9}, time.time())])
    ends = time.monotonic() + 60
    while delivery.state.delivered < 5 and time.monotonic() < ends:
        time.sleep(0.1)
    delivery.end(End.FINISHED)
    delivery.settle(30.0)
    assert delivery.state.problem == ""
    found = records(offline)
    run = next(each.run for each in found if each.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (run.run_id, run.project, run.display_name) == (SUBJECT.key, "digits", SUBJECT.name)
    assert config["optimizer.learningRate"] == "0.003" and config["headrace.dataset.version"] == "7"
    assert history(found) == [
        {"_step": 1, "trainLoss": 1.0},
        {"_step": 10, "trainLoss": 0.1},
        {"_step": 20, "trainLoss": 0.05, "final.accuracy": 0.9},
    ]
    assert [each.exit.exit_code for each in found if each.WhichOneof("record_type") == "exit"] == [0]
    said = b"".join(path.read_bytes() for path in offline.rglob("*") if path.is_file() and not path.is_symlink())
    assert b"2 workers" in said and b"k" * 40 not in said


OPEN = """
import sys
from headrace.api.tracking import WeightsAndBiases
from headrace_workers.train.tracking.tracker import Subject
from headrace_workers.train.tracking.weights_and_biases import WandbTracker
spec = WeightsAndBiases(project="digits", secret="wandb-login", uri=sys.argv[1])
try:
    WandbTracker(spec, Subject("0a1b2c3d-r1", "digits", {}), {"WANDB_API_KEY": sys.argv[2]}).open()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


class Stranger(BaseHTTPRequestHandler):
    """A server that knows nobody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@needs_wandb
@pytest.mark.parametrize("key", ["sh0rt", "n0" * 20], ids=["cannot be one", "is not known"])
def test_a_wrong_key_is_refused(key: str, tmp_path: Path) -> None:
    """Not asked again; the sentence names the Secret, and not the key. In a process of its own, as wandb keeps its settings."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "WANDB_DIR": str(tmp_path)}
    command = [sys.executable, "-c", OPEN, f"http://127.0.0.1:{server.server_address[1]}", key]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout
    server.shutdown()
    server.server_close()
    assert "TrackerRefuses: Weights & Biases refuses" in said and "in the Secret wandb-login" in said
    assert key not in said


def test_a_missing_package_ends_the_run_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other attempt would have it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunFault, match="needs the package wandb") as fault:
        WandbTracker(SPEC, SUBJECT, {})
    assert (fault.value.reason, fault.value.retryable) == ("TrackerMissing", False)
