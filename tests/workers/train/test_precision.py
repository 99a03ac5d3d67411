"""Networks that compute in bfloat16 and float16; on a GPU in test_cuda.py."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train import precision
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoint, Checkpoints
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.precision import FIRST_SCALE, SCALE, LossScale
from headrace_workers.train.progress import FitResult, Snapshot
from headrace_workers.train.training import Training
from tests.workers.train.builders import blobs, copied, equal, learn, learners, together, train_spec
from tests.workers.train.threads import wires_of_threads

FLOAT16 = {"precision": "Float16"}
LOUD: dict[str, Any] = {**FLOAT16, "model": {"module": "tests.workers.train.user_models:loud"}}
GOOD, BAD = torch.arange(1, 31), torch.arange(0, 30)
"""Batches; record 0 is more than float16 can hold, and is the first rank's."""
EXCHANGES: dict[str, Any] = {
    "int4": {"int4": {"block": 64}}, "powerSgd": {"powerSgd": {"rank": 1, "warmupSteps": 0}}, "topK": {"topK": {"warmupSteps": 0}},
}  # fmt: skip


def with_a_huge_record() -> LoadedDataset:
    data = blobs()
    inputs = data.splits["train"].inputs.clone()
    inputs[0] = 1e6
    splits = {**data.splits, "train": Split(inputs, data.splits["train"].targets)}
    return LoadedDataset(splits, data.shape, data.classes, "features", "label")


def ignore(_: Snapshot) -> None:
    """Hears nothing."""


def train(folder: Path, hear: Callable[[Snapshot], None] = ignore, *, stops: bool = False, **changes: Any) -> FitResult:
    asked = iter(range(10_000))
    return fit(
        train_spec(**changes), blobs(), Folder(f"file://{folder}"), group=Group(),
        on_progress=hear, should_stop=lambda: stops and next(asked) > 0,
    )  # fmt: skip


def newest(folder: Path) -> Checkpoint:
    found = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert found
    return found


@pytest.mark.parametrize("name", ["BFloat16", "Float16"])
def test_it_learns_with_weights_of_full_precision(tmp_path: Path, name: str) -> None:
    """As well as in float32, and by other numbers; what is saved is float32."""
    whole = train(tmp_path / "whole", epochs=15)
    reduced = train(tmp_path / "reduced", epochs=15, precision=name)
    assert reduced.metrics["accuracy"] > 0.9
    assert reduced.metrics["loss"] == pytest.approx(whole.metrics["loss"], abs=0.05)
    assert reduced.metrics["loss"] != whole.metrics["loss"]
    assert {each.dtype for each in newest(tmp_path / "reduced").tensors(WEIGHTS).values()} == {torch.float32}


def test_a_scale_finds_its_place() -> None:
    """It halves with each step that is skipped, and doubles after enough that are not."""
    scale = LossScale()
    assert scale.skip()
    assert (scale.value, scale.skipped) == (FIRST_SCALE / 2, 1)
    for _ in range(precision.GROWS_AFTER_STEPS):
        scale.took_step()
    assert (scale.value, scale.skipped) == (FIRST_SCALE, 1)


def test_a_scale_has_bounds() -> None:
    """Below the smallest there is nothing to try; it never grows beyond the largest."""
    scale = LossScale()
    scale.value = precision.SMALLEST_SCALE
    assert not scale.skip()
    assert (scale.value, scale.skipped) == (precision.SMALLEST_SCALE, 1)
    scale.value = precision.LARGEST_SCALE
    for _ in range(precision.GROWS_AFTER_STEPS):
        scale.took_step()
    assert scale.value == precision.LARGEST_SCALE


def test_the_mean_of_several_scales_is_rounded_down() -> None:
    """Ranks that take local steps may have different ones, and a group of another size has their mean."""
    scale = LossScale()
    scale.restore({SCALE: torch.tensor([3 * 2.0**10, 1.5, 2.0], dtype=torch.float64)})
    assert (scale.value, scale.skipped) == (2.0**11, 2)


@pytest.mark.parametrize("method", EXCHANGES)
def test_what_overflows_on_one_rank_is_skipped_by_all(method: str) -> None:
    """Nothing has changed then, on any of them: no weight, no moment, nothing that the exchange keeps. The next step is as good as any."""
    ranks = learners(3, with_a_huge_record(), **FLOAT16, compression=EXCHANGES[method])
    assert not any(each.skipped for each in learn(ranks, 1, GOOD))
    before = [(copied(each.weights), copied(each.moments), copied(each.kept)) for each in ranks]
    losses = learn(ranks, 2, BAD)
    assert all(each.skipped for each in losses)
    assert [bool(each.loss.isfinite()) for each in losses] == [False, True, True]
    for rank, (weights, moments, kept) in zip(ranks, before, strict=True):
        assert equal(rank.weights, weights) and equal(rank.moments, moments)
        scale = kept.pop(SCALE)
        now = rank.kept
        assert (now.pop(SCALE)[0], rank.skipped_steps) == (scale[0] / 2, 1)
        assert kept and equal(now, kept)
    assert not any(each.skipped for each in learn(ranks, 3, GOOD))
    assert all(equal(each.weights, ranks[0].weights) for each in ranks)


def test_what_is_exchanged_is_not_scaled() -> None:
    """Whatever the scale, a step is the same: all factors are powers of two."""
    (low,), (high,) = learners(1, **FLOAT16), learners(1, **FLOAT16)
    low._scale.value = 2.0**8  # type: ignore[union-attr]
    learn([low], 1, GOOD)
    learn([high], 1, GOOD)
    for name, each in low.weights.items():
        torch.testing.assert_close(each, high.weights[name], rtol=1e-3, atol=1e-5)


def test_a_rank_in_a_round_skips_alone() -> None:
    """Nobody waits for it: the others take their steps, and after the round all have the same again."""
    ranks = learners(2, with_a_huge_record(), **FLOAT16, compression={"diLoCo": {"localSteps": 2}})
    start = copied(ranks[0].weights)
    assert [each.skipped for each in learn(ranks, 1, BAD)] == [True, False]
    assert equal(ranks[0].weights, start) and not equal(ranks[1].weights, start)
    assert [each.skipped_steps for each in ranks] == [1, 0]
    learn(ranks, 2, GOOD)
    together(ranks, lambda rank: rank.finish_round(2, pays=False))
    assert equal(ranks[0].weights, ranks[1].weights)


def test_an_overflow_leaves_a_norm_as_it_was() -> None:
    """Running means that were once infinite would stay so."""
    (rank,) = learners(1, with_a_huge_record(), **FLOAT16, model={**LOUD["model"], "parameters": {"norm": True}})
    before = copied(rank.weights)
    assert learn([rank], 1, BAD)[0].skipped
    assert equal(rank.weights, before)


def test_skipped_steps_are_counted_and_use_up_their_records(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The run is as long as without them, its curve has no holes, and the log says which they were."""
    heard: list[Snapshot] = []
    assert train(tmp_path, heard.append, **LOUD).step == 12
    assert 0 < heard[-1].skipped_steps < 12
    assert all(0 < each.loss < 1e4 for each in heard)
    assert "step 1 is skipped" in caplog.text


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The scale goes on from the checkpoint too."""
    train(tmp_path / "whole", **LOUD)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", stops=True, **LOUD)
    parts = train(tmp_path / "parts", **LOUD)
    assert parts.resumed_from
    one, other = newest(tmp_path / "whole"), newest(tmp_path / "parts")
    for name in one.state.files:
        assert equal(one.tensors(name), other.tensors(name))
    assert one.tensors("compression-00000.safetensors")[SCALE][0] < FIRST_SCALE


def test_one_that_joins_has_the_others_scale(tmp_path: Path) -> None:
    """It is part of what is handed over."""
    store = Checkpoints(Folder(f"file://{tmp_path}"))
    first, second = (Training(train_spec(**LOUD), blobs(), store, Group(), lambda: False) for _ in range(2))
    while first.step < 3:
        first.move()
    second.take_over(first.hand_over())
    assert equal(second._learner.kept, first._learner.kept)
    assert second._learner.skipped_steps > 0


class Parting(Group):
    """Of two ranks the second wants to go, and is let go once."""

    wants_to_leave = False
    parted = False
    fewest = 1

    def part(self, leaving: Sequence[int]) -> None:
        """Remembers that."""
        assert list(leaving) == [1]
        self.parted = True


def test_one_that_leaves_waits_for_a_step_that_is_taken(tmp_path: Path) -> None:
    """In one that is skipped it could not pay what it owes."""

    def until_parted(rank: int) -> Training:
        groups[rank].wants_to_leave = rank == 1
        while not groups[rank].parted:
            trainings[rank].move()
        return trainings[rank]

    groups = [Parting(rank, 2, wire=wire) for rank, wire in enumerate(wires_of_threads(2))]
    store = Checkpoints(Folder(f"file://{tmp_path}"))
    spec = train_spec(**LOUD, compression={"int4": {"block": 64}})
    trainings = [Training(spec, blobs(), store, group, lambda: False) for group in groups]
    with ThreadPoolExecutor(2) as pool:
        for training in pool.map(until_parted, (0, 1)):
            assert training.step == training._learner.skipped_steps + 1 > 2
            assert not any(each.any() for each in training._learner._exchange.owed().values())  # type: ignore[union-attr]


def test_what_is_never_finite_ends_the_run(tmp_path: Path) -> None:
    """After as many steps as there are scales, with a sentence and not a word of retrying."""
    data = blobs()
    broken = Split(torch.full_like(data.splits["train"].inputs, float("nan")), data.splits["train"].targets)
    data = LoadedDataset({**data.splits, "train": broken}, data.shape, data.classes, "features", "label")
    with pytest.raises(RunFault, match=r"step 17 .*BFloat16") as caught:
        fit(
            train_spec(**FLOAT16, epochs=10), data, Folder(f"file://{tmp_path}"), group=Group(),
            on_progress=lambda _: None, should_stop=lambda: False,
        )  # fmt: skip
    assert (caught.value.reason, caught.value.retryable) == ("GradientsNotFinite", False)
