"""`headrace replay` on a state folder: what it writes where, what it says, and that a second time changes nothing."""

import json
from pathlib import Path

import pytest

from headrace.api.meta import Kind
from headrace.api.objects import DataPipeline, HeadraceObject
from headrace.api.status import Phase
from headrace.cli import replay as command
from headrace.cli.errors import Sentence
from headrace.cli.replay import replay
from headrace.cli.run import RunOptions
from tests.cli.conftest import build

LINES = [
    {"stage": "source", "source": "file a line 2", "record": "{", "version": "1"},
    {"stage": "steps[0].validate", "source": "record b", "record": '{"id": "b", "x": -1}', "version": "1"},
]
GOOD = [line | {"record": {"x": 1}} for line in LINES]
STREAM = {"mode": "Stream", "source": {"kafka": {"brokers": ["k:9092"], "topics": ["t"]}}}


class World:
    """One pipeline with a quarantine, and what was run of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, spec: dict | None = None) -> None:
        self.folder, self.run = folder, folder / "run-1"
        self.ran: list[DataPipeline] = []
        self.pipeline: HeadraceObject = build(
            Kind.DATA_PIPELINE, "shop", spec, storage=f"file://{self.run}", phase=Phase.COMPLETE, run=1
        )
        self.write("run-1/quarantine/000-000000-0000.jsonl", LINES)
        monkeypatch.setattr(command, "saved_objects", lambda _: [self.pipeline])
        monkeypatch.setattr(command, "run_objects", self._run)

    def _run(self, options: RunOptions, resources: list[DataPipeline]) -> int:
        assert options.until_ready
        self.ran += resources
        (self.pipeline,) = resources
        return 0

    def write(self, name: str, lines: list[dict]) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def replay(self, file: Path | None = None, export: Path | None = None) -> int:
        return replay(self.folder / "state", "shop", file, export, "headrace replay")


def declared(pipeline: DataPipeline) -> list[dict]:
    """The lines of the file that a pipeline declares."""
    assert pipeline.spec.quarantine.repaired
    text = Path(pipeline.spec.quarantine.repaired.uri.removeprefix("file://")).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_batch_runs_again_with_all_that_was_repaired(tmp_path, monkeypatch, capsys) -> None:
    """Later repairs join the earlier ones; the same file again runs nothing."""
    world = World(tmp_path, monkeypatch)
    assert world.replay(world.write("one.jsonl", GOOD[:1])) == 0
    assert "put this into its manifest" in capsys.readouterr().out
    world.write("run-1/quarantine/000-000000-0000.jsonl", LINES[1:])
    assert world.replay(world.write("two.jsonl", GOOD)) == 0
    assert [declared(pipeline) for pipeline in world.ran] == [GOOD[:1], GOOD]
    assert world.replay(tmp_path / "two.jsonl") == 0
    assert (len(world.ran), "0 repaired records to replay (2 replayed before)" in capsys.readouterr().out) == (2, True)


def test_what_a_pattern_declares_stays(tmp_path, monkeypatch) -> None:
    """Repairs that lie behind an address of the user's own are among those of the next run."""
    declares = {"quarantine": {"repaired": {"uri": f"file:{tmp_path}/own/*.jsonl"}}}
    world = World(tmp_path, monkeypatch, declares)
    world.write("own/a.jsonl", GOOD[:1])
    world.write("run-1/quarantine/000-000000-0000.jsonl", LINES[1:])
    assert world.replay(world.write("two.jsonl", GOOD[1:])) == 0
    assert declared(world.ran[0]) == GOOD
    world.write("own/b.jsonl", [{"record": 1}])
    world.pipeline = build(Kind.DATA_PIPELINE, "shop", declares, storage=f"file://{world.run}")
    with pytest.raises(Sentence, match=r"a line of .*b\.jsonl has a wrong field"):
        world.replay(tmp_path / "two.jsonl")


def test_a_run_that_was_cut_off_goes_on(tmp_path, monkeypatch) -> None:
    """The edit is there already: the same command runs what is not finished."""
    world = World(tmp_path, monkeypatch)
    file = world.write("one.jsonl", GOOD)
    world.replay(file)
    world.pipeline = world.pipeline.model_copy(
        update={"status": world.pipeline.status.model_copy(update={"phase": Phase.RUNNING})}
    )
    world.replay(file)
    assert [pipeline.spec for pipeline in world.ran] == [world.pipeline.spec] * 2


def test_a_stream_is_given_lines_in_its_storage(tmp_path, monkeypatch, capsys) -> None:
    """Nothing is run or edited, nothing is given twice, and what was given is not exported again."""
    world = World(tmp_path, monkeypatch, STREAM)
    for _ in range(2):
        assert world.replay(world.write("one.jsonl", GOOD[:1])) == 0
    (path,) = (world.run / "repaired").iterdir()
    assert [json.loads(line) for line in path.read_text().splitlines()] == GOOD[:1]
    assert world.replay(export=tmp_path / "left.jsonl") == 0
    assert [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()] == LINES[1:]
    assert (world.ran, "takes them within some 10 s" in capsys.readouterr().out) == ([], True)


def test_without_a_file_the_lines_are_printed(tmp_path, monkeypatch, capsys) -> None:
    """To be repaired, one a line."""
    World(tmp_path, monkeypatch).replay()
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == LINES


def test_what_cannot_be_is_said_in_a_sentence(tmp_path, monkeypatch) -> None:
    """Two files, one that is not there, faulty lines, a pipeline that never ran."""
    world = World(tmp_path, monkeypatch)
    with pytest.raises(Sentence, match="not both"):
        world.replay(tmp_path / "a", tmp_path / "b")
    with pytest.raises(Sentence, match="cannot be read"):
        world.replay(tmp_path / "a")
    with pytest.raises(Sentence, match="1 problem; nothing was done"):
        world.replay(world.write("a", [{"source": "record z", "record": {}}]))
    assert world.ran == []
    world.pipeline = build(Kind.DATA_PIPELINE, "shop")
    with pytest.raises(Sentence, match="has not run yet"):
        world.replay()
