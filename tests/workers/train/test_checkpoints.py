"""Checkpoints as a reader finds them after any kill."""

from pathlib import Path

import pytest
import torch

from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import (
    STATE,
    WEIGHTS,
    Checkpoints,
    CheckpointState,
    DataSchema,
    compression_file,
    compression_state,
)

SCHEMA = DataSchema(features="image", target="label", shape=(2,), classes=(0, 1))


def save(store: Checkpoints, step: int, world_size: int = 1) -> None:
    files = {WEIGHTS: store.write(step, WEIGHTS, {"w": torch.full((2,), float(step))})}
    for rank in range(world_size):
        name = compression_file(rank)
        files[name] = store.write(step, name, {"error/w": torch.full((2,), float(rank))})
    store.commit(CheckpointState(step=step, epoch=0, seed=0, world_size=world_size, data=SCHEMA, files=files))


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(Folder(f"file://{tmp_path}"), keep=2)


def test_the_newest_is_read_back(store: Checkpoints) -> None:
    """Tensors come back as they were written."""
    save(store, 5)
    save(store, 10)
    newest = store.newest()
    assert newest and newest.state.step == 10
    assert torch.equal(newest.tensors(WEIGHTS)["w"], torch.tensor([10.0, 10.0]))


def test_only_the_newest_are_kept(store: Checkpoints) -> None:
    """With keep 2, the third checkpoint deletes the first."""
    for step in (5, 10, 15):
        save(store, step)
    assert store.folder.names() == ["00000010", "00000015"]


def test_half_checkpoints_do_not_count_as_kept(store: Checkpoints) -> None:
    """A checkpoint that a kill left half is deleted rather than kept in the place of a whole one."""
    save(store, 5)
    store.write(7, WEIGHTS, {"w": torch.zeros(2)})
    save(store, 10)
    assert store.folder.names() == ["00000005", "00000010"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "uncommitted", "garbled"])
def test_a_damaged_checkpoint_is_skipped_aloud(
    store: Checkpoints, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest whole checkpoint is taken, and the log names the one that was not."""
    save(store, 5)
    save(store, 10)
    weights, state = tmp_path / "00000010" / WEIGHTS, tmp_path / "00000010" / STATE
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-3])
        case "flipped":
            weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
        case "gone":
            weights.unlink()
        case "uncommitted":
            state.unlink()
        case "garbled":
            state.write_text('{"step": 10')
    newest = store.newest()
    assert newest and newest.state.step == 5
    assert "00000010 is skipped" in caplog.text


@pytest.mark.parametrize(
    ("world_size", "expected"),
    [(4, [0.0, 1.0, 2.0, 3.0]), (2, [1.5, 1.5]), (8, [1.5] * 8)],
    ids=["equal", "fewer", "more"],
)
def test_error_feedback_survives_a_change_of_size(store: Checkpoints, world_size: int, expected: list[float]) -> None:
    """At an equal size each rank gets its own state back, at another the mean of all."""
    save(store, 5, world_size=4)
    newest = store.newest()
    assert newest
    restored = [compression_state(newest, rank, world_size)["error/w"] for rank in range(world_size)]
    assert [float(tensor[0]) for tensor in restored] == expected
