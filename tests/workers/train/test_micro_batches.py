"""Steps whose records go through the network a few at a time, on ranks that are threads."""

from pathlib import Path
from typing import Any

import pytest
import torch

from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.group import Group
from headrace_workers.train.learner import Learner
from headrace_workers.train.loop import fit
from tests.workers.train.builders import blobs, equal, learn, learners, train_spec

BATCH = torch.arange(33)
BALANCED: dict[str, Any] = {"loss": {"crossEntropy": {"classWeights": "Balanced", "labelSmoothing": 0.1}}}


def seen_by(rank: Learner) -> list[int]:
    """How many records go through the network at a time, from now on."""
    sizes: list[int] = []
    rank.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


@pytest.mark.parametrize("size", [1, 4, 10, 33])
@pytest.mark.parametrize("count", [1, 3])
def test_a_step_in_parts_is_the_whole_step(count: int, size: int) -> None:
    """Uneven shares, class weights and all: the same loss and weights, but for rounding."""
    whole, parts = learners(count, **BALANCED), learners(count, **BALANCED, microBatchSize=size)
    for step, batch in enumerate((BATCH, BATCH[:2], BATCH), start=1):
        one, other = learn(whole, step, batch), learn(parts, step, batch)
        for mine, theirs in zip(one, other, strict=True):
            torch.testing.assert_close(mine.loss, theirs.loss, rtol=1e-4, atol=1e-6)
    for name, each in whole[0].weights.items():
        torch.testing.assert_close(parts[0].weights[name], each, rtol=1e-3, atol=1e-4)
    assert all(equal(each.weights, parts[0].weights) for each in parts)


def test_parts_are_small_and_alike() -> None:
    """33 records, 16 at most: three of eleven, and not a last one of a single record."""
    (rank,) = learners(1, microBatchSize=16)
    sizes = seen_by(rank)
    learn([rank], 1, BATCH)
    assert sizes == [11, 11, 11]


def test_gradients_travel_once_a_step() -> None:
    """However many parts there are."""
    whole, parts = learners(2), learners(2, microBatchSize=2)
    learn(whole, 1, BATCH)
    learn(parts, 1, BATCH)
    assert parts[0].traffic.bytes_sent == whole[0].traffic.bytes_sent > 0


def test_parts_add_up_in_float16_too() -> None:
    """Scaled and in parts: the step that is neither, to three digits."""
    (whole,), (parts,) = learners(1), learners(1, microBatchSize=8, precision="Float16")
    one, other = learn([whole], 1, BATCH)[0], learn([parts], 1, BATCH)[0]
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-2, atol=0.0)


def test_dropout_is_drawn_anew_by_seed_step_and_rank(tmp_path: Path) -> None:
    """Two runs have the same bits, evaluated a few records at a time like the rest."""
    for name in ("one", "other"):
        fit(
            train_spec(microBatchSize=5), blobs(), Folder(f"file://{tmp_path}/{name}"), group=Group(),
            on_progress=lambda _: None, should_stop=lambda: False,
        )  # fmt: skip
    found = [Checkpoints(Folder(f"file://{tmp_path}/{name}/checkpoints")).newest() for name in ("one", "other")]
    one, other = (each.tensors(WEIGHTS) for each in found if each)
    assert equal(one, other)
