"""One rank's training loop: alone, and among others that are threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest
import torch

from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import OPTIMIZER, WEIGHTS, Checkpoints
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import FitResult, Snapshot
from tests.workers.train.builders import blobs, train_spec
from tests.workers.train.threads import wires_of_threads

PAUSE = 0.25


def never() -> bool:
    return False


def ignore(_: Snapshot) -> None:
    """Hears nothing."""


def train(
    folder: Path, spec: TrainJobSpec, data: LoadedDataset | None = None, *,
    on_progress: Callable[[Snapshot], None] = ignore, should_stop: Callable[[], bool] = never,
) -> FitResult:  # fmt: skip
    return fit(
        spec,
        data or blobs(),
        Folder(f"file://{folder}"),
        group=Group(),
        on_progress=on_progress,
        should_stop=should_stop,
    )


def last_tensors(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert checkpoint
    return {**checkpoint.tensors(WEIGHTS), **checkpoint.tensors(OPTIMIZER)}


class Stop:
    """Wants a stop from the second time it is asked."""

    asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > 1


def test_it_learns(tmp_path: Path) -> None:
    """A few epochs on separable data reach a high accuracy on the validation split."""
    assert train(tmp_path, train_spec(epochs=15)).metrics["accuracy"] > 0.9


def test_epochs_count_the_last_partial_batch(tmp_path: Path) -> None:
    """101 records in batches of 33 are four steps an epoch."""
    assert train(tmp_path, train_spec()).step == 12


def test_steps_bound_the_run_instead_of_epochs(tmp_path: Path) -> None:
    """With steps set, the run ends after so many, in the middle of an epoch if need be."""
    assert train(tmp_path, train_spec(epochs=None, steps=7)).step == 7


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """A run that was stopped and resumed has the weights, optimizer state, curve and metrics of one that was not."""
    whole = train(tmp_path / "whole", train_spec())
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", train_spec(), should_stop=Stop())
    parts = train(tmp_path / "parts", train_spec())
    assert parts.resumed_from and parts.resumed_from < whole.step
    assert parts.metrics == whole.metrics
    one, other = last_tensors(tmp_path / "whole"), last_tensors(tmp_path / "parts")
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    curves = [
        Checkpoints(Folder(f"file://{tmp_path}/{name}/checkpoints")).newest().state.curve for name in ("whole", "parts")
    ]  # type: ignore[union-attr]
    assert curves[0] == curves[1]


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    """What happens between a checkpoint and a kill is done again, with the same result."""

    def die(snapshot: Snapshot) -> None:
        if snapshot.step == 10:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole", train_spec())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", train_spec(), on_progress=die)
    parts = train(tmp_path / "parts", train_spec())
    # The one of step 8 exists by then, or is still being written.
    assert parts.resumed_from in {4, 8} and parts.metrics == whole.metrics


def test_a_finished_run_does_nothing_twice(tmp_path: Path) -> None:
    """Running again after the end trains no step and gives the same metrics."""
    first = train(tmp_path, train_spec())
    heard: list[Snapshot] = []
    again = train(tmp_path, train_spec(), on_progress=heard.append)
    assert (heard, again.resumed_from, again.metrics) == ([], first.step, first.metrics)


def test_a_seed_decides_the_result(tmp_path: Path) -> None:
    """Equal seeds give equal weights, another seed gives others."""
    runs = {name: train_spec(seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))}
    for name, spec in runs.items():
        train(tmp_path / name, spec)
    weights = {name: last_tensors(tmp_path / name)["1.weight"] for name in runs}
    assert torch.equal(weights["a"], weights["b"]) and not torch.equal(weights["a"], weights["c"])


def test_progress_says_when_it_was_measured_and_saved(tmp_path: Path) -> None:
    """Evaluations come at everySteps and at the end; a checkpoint is told of once it exists, by its own step."""
    heard: list[Snapshot] = []
    train(tmp_path, train_spec(), on_progress=heard.append)
    assert [one.step for one in heard if one.metrics] == [5, 10, 12]
    told = [one.checkpoint.step for one in heard if one.checkpoint]
    assert told == sorted(told) and told[-1] == 12 and {*told} <= {4, 8, 12}
    assert Folder(f"file://{tmp_path}/checkpoints").names() == ["00000004", "00000008", "00000012"]


def test_what_progress_raises_ends_the_loop(tmp_path: Path) -> None:
    """An exception of the callback, such as a pruned trial, comes out of fit as it is."""

    class Pruned(Exception):
        """As Optuna's."""

    def prune(_: Snapshot) -> None:
        raise Pruned

    with pytest.raises(Pruned):
        train(tmp_path, train_spec(), on_progress=prune)


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_lost_ends_the_run_before_it_is_saved(tmp_path: Path) -> None:
    """A NaN in the loss is LossNotFinite, names the step, and leaves no checkpoint with it."""
    data = blobs()
    broken = Split(data.splits["train"].inputs.clone().fill_(float("nan")), data.splits["train"].targets)
    with pytest.raises(RunFault, match="step 1") as caught:
        train(
            tmp_path,
            train_spec(),
            LoadedDataset({**data.splits, "train": broken}, data.shape, data.classes, "features", "label"),
        )
    assert (caught.value.reason, caught.value.retryable) == ("LossNotFinite", False)
    assert Checkpoints(Folder(f"file://{tmp_path}/checkpoints")).newest() is None


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    """A dataset without the evaluation's split is refused before training."""
    data = blobs()
    with pytest.raises(RunFault, match="validation") as caught:
        train(
            tmp_path,
            train_spec(),
            LoadedDataset({"train": data.splits["train"]}, data.shape, data.classes, "features", "label"),
        )
    assert caught.value.reason == "SplitMissing"


def test_checkpoints_of_another_model_are_not_mistaken(tmp_path: Path) -> None:
    """A checkpoint whose tensors do not fit the network is CheckpointMismatch."""
    train(tmp_path, train_spec(epochs=1))
    with pytest.raises(RunFault) as caught:
        train(tmp_path, train_spec(epochs=2, model={"builtin": "Perceptron", "parameters": {"hidden": 16}}))
    assert caught.value.reason == "CheckpointMismatch"


def test_numbers_are_learnt_with_the_squared_error(tmp_path: Path) -> None:
    """meanSquaredError learns a target of fractions, and accuracy is refused for it."""
    inputs = torch.rand(200, 4, generator=torch.Generator().manual_seed(0))
    split = Split(inputs, inputs.sum(1))
    data = LoadedDataset({"train": split, "validation": split}, (4,), None, "features", "sum")
    loss = {"meanSquaredError": {}}
    result = train(tmp_path, train_spec(epochs=30, loss=loss, evaluation={"metrics": ["loss"]}), data)
    assert result.metrics["loss"] < 0.05
    with pytest.raises(RunFault) as caught:
        train(tmp_path / "other", train_spec(loss=loss), data)
    assert caught.value.reason == "MetricNotApplicable"


@pytest.mark.parametrize("compression", [{"none": {}}, {"int4": {"block": 64}}, {"diLoCo": {"localSteps": 4}}], ids=str)
def test_ranks_hear_how_long_each_was_busy(tmp_path: Path, compression: dict[str, object]) -> None:
    """Of three ranks one sleeps in its forward pass: it alone was busy for so long, though a step took all as long."""
    pauses, heard, data = (0.0, PAUSE, 0.0), [], blobs()

    class Named(Group):
        """Knows its pods."""

        pods = ("a", "b", "c")

    def work(rank: int, wire: Wire) -> None:
        model = {"module": "tests.workers.train.user_models:slow", "parameters": {"seconds": pauses[rank]}}
        spec = train_spec(epochs=2, model=model, compression=compression)
        storage = Folder(f"file://{tmp_path}")
        fit(spec, data, storage, group=Named(rank, 3, wire=wire), on_progress=heard.append, should_stop=never)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3), wires_of_threads(3)))
    busy = {pod: median(snapshot.busy[pod] for snapshot in heard) for pod in "abc"}
    assert busy["b"] >= PAUSE > max(busy["a"], busy["c"]) > 0
    assert median(snapshot.rate for snapshot in heard) <= 1 / PAUSE
