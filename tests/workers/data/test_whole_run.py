"""The entry point as the operator starts it: a head and a worker as processes, on Ray."""

import json
import signal
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headrace.api.run_report import ReportPhase
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder
from tests.workers.data.builders import files, pipeline
from tests.workers.data.runs import DEADLINE_SECONDS, HEAD, WORKER, Run
from tests.workers.sounds import AUGMENT, DECODE, FEATURES, SCALE, SPLIT, write_tones

pytestmark = pytest.mark.ray


def test_a_run_ends_with_a_dataset_version(tmp_path: Path) -> None:
    """The report names the version, the table holds it, and the fitted preprocessing lies beside it."""
    report = Run(tmp_path).finish()
    assert (report.phase, report.workers) == (ReportPhase.COMPLETE, 1)
    assert report.dataset is not None
    assert report.records is not None
    table = DeltaTable(str(tmp_path / "table"))
    assert (table.version(), table.count()) == (report.dataset.version, report.dataset.records)
    assert report.records.read == report.records.written == 1797
    assert report.batch is not None
    assert [stage.records for stage in report.batch.stages] == [1797] * len(report.batch.stages)
    assert all(stage.seconds > 0 and stage.rate > 0 for stage in report.batch.stages)
    assert 50e6 < report.batch.memory_bytes < 2e9
    assert Preprocessing.load(Folder(report.dataset.artifacts)).features == "image"
    assert not (tmp_path / "run" / "stages").exists()


def test_a_folder_of_sounds_becomes_a_table(tmp_path: Path) -> None:
    """Decoded, altered and heard by a worker; an empty file, one cut off and one that is no sound stop nothing."""
    sounds = write_tones(tmp_path / "sounds")
    (sounds / "low" / "empty.wav").write_bytes(b"")
    (sounds / "low" / "cut.wav").write_bytes((sounds / "low" / "00.wav").read_bytes()[:1000])
    (sounds / "high" / "notes.txt").write_text("recorded outdoors")
    steps = (DECODE, SPLIT, AUGMENT, FEATURES, SCALE)
    spec = pipeline(files(sounds, "Audio"), *steps, quarantine={"maxFraction": 0.2})
    report = Run(tmp_path, spec).finish()
    assert report.phase == ReportPhase.COMPLETE
    assert report.records is not None
    assert report.dataset is not None
    assert (report.records.read, report.records.written, report.records.quarantined) == (23, 20, 3)
    fitted = Preprocessing.load(Folder(report.dataset.artifacts))
    assert (fitted.features, fitted.raw, fitted.shape) == ("features", "content", (24, 16))
    codes = [
        json.loads(line)["code"]
        for file in sorted((tmp_path / "run" / "quarantine").iterdir())
        for line in file.read_text().splitlines()
    ]
    assert sorted(codes) == ["EmptyFile", "Truncated", "UnknownForm"]


def test_a_run_killed_midway_is_finished_once(tmp_path: Path) -> None:
    """After kill -9 of the head, and with its commit forgotten by its storage, the same command makes no second version."""
    run = Run(tmp_path)
    with run.process(HEAD) as head, run.process(WORKER):
        run.until("stages/*/000-*.json")
        head.send_signal(signal.SIGKILL)
        head.wait(DEADLINE_SECONDS)
    assert not (tmp_path / "table").exists()
    report = run.finish()
    (tmp_path / "run" / "report.json").unlink()
    again = run.finish(workers=False)
    assert again.dataset == report.dataset
    assert again.records == report.records
    assert DeltaTable(str(tmp_path / "table")).version() == 0


def test_a_run_asked_to_stop_leaves_nothing_half_visible(tmp_path: Path) -> None:
    """SIGTERM ends the run as Interrupted, even while it waits for workers that never come, and without a table."""
    run = Run(tmp_path)
    with run.process(HEAD) as head:
        run.until_head_listens()
        head.send_signal(signal.SIGTERM)
        assert head.wait(DEADLINE_SECONDS) == 3
    assert json.loads((tmp_path / "termination.json").read_text())["phase"] == ReportPhase.INTERRUPTED
    assert not (tmp_path / "table").exists()
