"""A rank's part of a checkpoint, written by a thread."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace_workers.faults import Interrupted
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import OPTIMIZER, WEIGHTS, Checkpoints, compression_file
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.training import Move, Training
from headrace_workers.train.writing import Writing
from tests.workers.train.builders import blobs, equal, train_spec
from tests.workers.train.threads import wires_of_threads

SECONDS = 20.0


class Gate:
    """Storage that takes nothing before it is opened; `waits` is set once somebody writes."""

    def __init__(self) -> None:
        self.opened, self.waits = threading.Event(), threading.Event()
        self.error: OSError | None = None


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, write = Gate(), Checkpoints.write

    def late(self: Checkpoints, step: int, name: str, tensors: Mapping[str, torch.Tensor]) -> str:
        gate.waits.set()
        assert gate.opened.wait(SECONDS)
        if gate.error:
            raise gate.error
        return write(self, step, name, tensors)

    monkeypatch.setattr(Checkpoints, "write", late)
    yield gate
    gate.opened.set()


def store(folder: Path) -> Checkpoints:
    return Checkpoints(Folder(f"file://{folder}/checkpoints"))


def training(folder: Path, group: Group | None = None, **changes: Any) -> Training:
    return Training(train_spec(**changes), blobs(), store(folder), group or Group(), lambda: False)


def steps_until(one: Training, step: int) -> None:
    while one.step < step:
        one.move()


def test_what_is_written_is_what_was_there(tmp_path: Path, gate: Gate) -> None:
    """A tensor that changes meanwhile does not change the file; the digests come once all is written."""
    weights = torch.zeros(3)
    writing = Writing(store(tmp_path), 1, {WEIGHTS: {"a": weights}, OPTIMIZER: {"b": weights}})
    weights += 1
    assert not writing.is_done
    gate.opened.set()
    assert writing.digests.keys() == {WEIGHTS, OPTIMIZER}
    assert writing.is_done
    folder = store(tmp_path).folder.sub("00000001")
    import safetensors.torch

    assert not safetensors.torch.load(folder.read(WEIGHTS))["a"].any()


def test_the_one_before_ends_first(tmp_path: Path, gate: Gate) -> None:
    """Both are of the same step: the later one's file stays."""
    first = Writing(store(tmp_path), 1, {WEIGHTS: {"a": torch.zeros(3)}})
    second = Writing(store(tmp_path), 1, {WEIGHTS: {"a": torch.ones(3)}}, before=first)
    gate.opened.set()
    digest = second.digests[WEIGHTS]
    assert first.is_done and digest != first.digests[WEIGHTS]


def test_what_cannot_be_written_is_raised_where_it_is_asked_for(tmp_path: Path, gate: Gate) -> None:
    """As it came."""
    gate.error = OSError("no space left")
    gate.opened.set()
    with pytest.raises(OSError, match="no space left"):
        _ = Writing(store(tmp_path), 1, {WEIGHTS: {"a": torch.zeros(3)}}).digests


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, gate: Gate) -> None:
    """Steps are done that it does not have; it exists at the first talk after it is written, as of its own step."""
    gate.opened.set()
    usual = training(tmp_path / "usual", epochs=10)
    steps_until(usual, 9)
    assert (whole := store(tmp_path / "usual").read(4))
    gate.opened.clear()
    late = training(tmp_path / "late", epochs=10)
    steps_until(late, 7)
    assert gate.waits.is_set() and store(tmp_path / "late").newest() is None
    gate.opened.set()
    steps_until(late, 9)
    newest = store(tmp_path / "late").read(4)
    assert newest and newest.state == whole.state
    assert all(equal(newest.tensors(name), whole.tensors(name)) for name in whole.state.files)


def test_a_run_that_stops_waits_for_its_checkpoint(tmp_path: Path, gate: Gate) -> None:
    """It is of the very step at which the run stopped, not of the one that was being written."""
    asked, heard = iter(range(1000)), [0]
    threading.Timer(0.5, gate.opened.set).start()
    with pytest.raises(Interrupted):
        fit(
            train_spec(epochs=200), blobs(), Folder(f"file://{tmp_path}"), group=Group(),
            on_progress=lambda snapshot: heard.append(snapshot.step), should_stop=lambda: next(asked) > 5,
        )  # fmt: skip
    newest = store(tmp_path).newest()
    assert newest and newest.state.step == heard[-1] > 4


class Pair(Group):
    """One of two ranks whose group may become another."""

    changes = True
    fewest = 1


def test_a_group_that_changes_saves_again(tmp_path: Path, gate: Gate) -> None:
    """What its old ranks were writing is given up, for a joiner took over that it was; the next step is saved by the new ones."""

    def steps(rank: int, until: int) -> None:
        steps_until(trainings[rank], until)

    def both(until: int) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(steps, (0, 1), (until, until)))

    groups = [Pair(rank, 2, wire=wire) for rank, wire in enumerate(wires_of_threads(2))]
    changes: dict[str, Any] = {"compression": {"int4": {"block": 64}}, "epochs": 10}
    trainings = [training(tmp_path, group, **changes) for group in groups]
    both(5)
    joiner = training(tmp_path, groups[1], **changes)
    joiner.take_over(trainings[0].hand_over())
    trainings[1] = joiner
    for each in trainings:
        each.regroup()
    both(6)
    gate.opened.set()
    both(8)
    saved = [step for step in (4, 5, 6, 7) if store(tmp_path).folder.sub(f"{step:08d}").exists("state.json")]
    assert saved == [6]
    newest = store(tmp_path).read(6)
    assert newest and newest.state.files.keys() == {WEIGHTS, OPTIMIZER, compression_file(0), compression_file(1)}


def test_a_commit_that_lost_a_peer_is_a_save_anew_where_the_run_waits_for_it(tmp_path: Path) -> None:
    """At the end of a run there is no next step."""
    one = training(tmp_path)
    while one._pending != (Move.COMMIT,) or one.step < one.total:
        one.move()
    one.regroup()
    assert one._pending == (Move.SAVE,)
    while not one.is_done:
        one.move()
    newest = store(tmp_path).newest()
    assert newest and newest.state.step == one.total


def test_those_that_leave_have_written_their_part(tmp_path: Path, gate: Gate) -> None:
    """The checkpoint of two ranks exists before they part."""

    class Parting(Pair):
        wants_to_leave = False
        existed: bool | None = None

        def part(self, leaving: Sequence[int]) -> None:
            """Sees what exists."""
            self.existed = store(tmp_path).read(4) is not None

    def until_parted(rank: int) -> None:
        steps_until(trainings[rank], 5)
        groups[rank].wants_to_leave = rank == 1
        gate.opened.set()
        while groups[rank].existed is None:
            trainings[rank].move()

    groups = [Parting(rank, 2, wire=wire) for rank, wire in enumerate(wires_of_threads(2))]
    trainings = [training(tmp_path, group, compression={"int4": {"block": 64}}) for group in groups]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(until_parted, (0, 1)))
    assert groups[0].existed
