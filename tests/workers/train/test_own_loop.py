"""Users' own training loops: what built-in training does, by three calls, and what a loop gets wrong."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train import loop
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.own_loop import Batch, Run
from headrace_workers.train.progress import FitResult
from headrace_workers.train.training import Training
from tests.workers.train import user_loops
from tests.workers.train.builders import STEADY, blobs, train_spec
from tests.workers.train.frameworks.likeness import spec
from tests.workers.train.test_loop import Stop, last_tensors, train
from tests.workers.train.threads import wires_of_threads


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks that are threads draw from the same random numbers: each builds its network while no other does."""
    lock = threading.Lock()

    class Built(Training):
        def __init__(self, *arguments: Any) -> None:
            with lock:
                super().__init__(*arguments)

    monkeypatch.setattr(loop, "Training", Built)


def of_ranks(folder: Path, ranks: int, wanted: TrainJobSpec) -> list[FitResult]:
    """Ranks that are threads; the last global batch of an epoch has fewer records than three ranks."""

    def one(rank: int) -> FitResult:
        group = Group(rank, ranks, wire=wires[rank])
        return fit(wanted, blobs(), Folder(f"file://{folder}"), group=group, on_progress=lambda _: None, should_stop=lambda: False)  # fmt: skip

    wires = wires_of_threads(ranks)
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(one, range(ranks)))


def require_close(one: Path, other: Path) -> None:
    mine, theirs = last_tensors(one), last_tensors(other)
    assert mine.keys() == theirs.keys()
    for name, each in mine.items():
        torch.testing.assert_close(each, theirs[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"microBatchSize": 10}, {"gradientClipping": {"maxNorm": 0.5}}, {"precision": "BFloat16"}])  # fmt: skip
@pytest.mark.parametrize("ranks", [1, 3])
def test_it_does_what_training_does(tmp_path: Path, ranks: int, changes: dict[str, Any]) -> None:
    """The plain loop comes to the same weights and metrics, uneven shares and ranks without a record included."""
    built_in = of_ranks(tmp_path / "one", ranks, train_spec(model=STEADY, **changes))
    own = of_ranks(tmp_path / "other", ranks, spec("plain", **changes))
    assert own[0].step == built_in[0].step == 12
    assert own[0].metrics == pytest.approx(built_in[0].metrics, abs=0.005)
    require_close(tmp_path / "one", tmp_path / "other")


@pytest.mark.parametrize("method", ["int4", "diLoCo", "powerSgd"])
def test_gradients_travel_compressed(tmp_path: Path, method: str) -> None:
    """Its bytes are counted, and far fewer than they would be."""
    results = of_ranks(tmp_path, 2, spec("plain", compression={method: {}}, epochs=10))
    assert results[0].traffic and 0 < results[0].traffic.bytes_sent < results[0].traffic.bytes_uncompressed / 2
    assert results[0].metrics["accuracy"] > 0.8


def test_parameters_are_passed_on(tmp_path: Path) -> None:
    """To the loop, as keyword arguments."""
    train(tmp_path / "one", spec("plain"))
    train(tmp_path / "other", spec("plain", {"smoothing": 0.3}))
    assert any(not torch.equal(each, last_tensors(tmp_path / "other")[name]) for name, each in last_tensors(tmp_path / "one").items())  # fmt: skip


def test_losses_of_a_batch_add_up(tmp_path: Path) -> None:
    """Two calls with a half each are one with the whole, and the curve has the whole."""
    whole, halves = train(tmp_path / "one", spec("plain")), train(tmp_path / "other", spec("in_two"))
    require_close(tmp_path / "one", tmp_path / "other")
    assert halves.metrics == pytest.approx(whole.metrics, abs=0.005)
    assert train(tmp_path / "third", spec("distilled", {"teacher": 1}, epochs=10)).metrics["accuracy"] > 0.8


def test_an_interrupted_loop_ends_with_the_same_bits(tmp_path: Path) -> None:
    """It begins anew with the checkpoint's state, and says from where."""
    wanted = spec("plain", model={"builtin": "Perceptron", "parameters": {"hidden": 32, "layers": 1, "dropout": 0.2}})
    train(tmp_path / "whole", wanted)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", wanted, should_stop=Stop())
    result = train(tmp_path / "parts", wanted)
    assert result.resumed_from and 0 < result.resumed_from < 12
    mine, theirs = last_tensors(tmp_path / "parts"), last_tensors(tmp_path / "whole")
    assert all(torch.equal(each, theirs[name]) for name, each in mine.items())


def test_a_loop_that_is_done_has_no_batch(tmp_path: Path) -> None:
    """Run again it reads the result."""
    first, again = train(tmp_path, spec("plain")), train(tmp_path, spec("plain"))
    assert (again.step, again.resumed_from, again.metrics) == (12, 12, first.metrics)


def test_it_goes_back_with_all_others(tmp_path: Path) -> None:
    """A loss that is no number is undone; the network that the loop asks for is the one that went back."""
    back = {"onDivergence": {"rollBack": {}}}
    result = of_ranks(tmp_path, 2, spec("not_finite_in_step_6", recovery=back, evaluation={"everySteps": 1}))
    store = Checkpoints(Folder(f"file://{tmp_path}/checkpoints"))
    assert [(each.from_step, each.to_step) for each in store.roll_backs()] == [(6, 4)]
    newest = store.newest()
    assert newest and all(each.isfinite().all() for each in newest.tensors(WEIGHTS).values())
    assert result[0].step == 12


def test_a_batch_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """33 records, 12 at most: three batches a step, which weigh one together."""
    seen: list[Batch] = []

    def watch(run: Run) -> None:
        assert isinstance(run.module, torch.nn.Module) and run.total == 12
        for batch in run.batches():
            seen.append(batch)
            run.backward(run.network(batch.inputs).square().mean())
            run.step()

    monkeypatch.setattr(user_loops, "watch", watch, raising=False)
    train(tmp_path, spec("watch", microBatchSize=12))
    first = [batch for batch in seen if batch.step == 1]
    assert [(len(batch.inputs), len(batch.targets), batch.ends_step) for batch in first] == [(11, 11, False), (11, 11, False), (11, 11, True)]  # fmt: skip
    assert sum(batch.weight for batch in first) == pytest.approx(1)
    assert {batch.step for batch in seen} == set(range(1, 13))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises_in_step_3", r"raised KeyError: 'teacher' at user_loops.py:\d+, step 3; correct the loop"),
        ("leaves_off", "returned in step 2 of 12; have it go through run.batches()"),
        ("never_steps", "in step 1 without run.step()"),
        ("steps_without_gradient", "run.step was called before run.backward"),
        ("has_no_batch", "run.backward was called without a batch"),
    ],
)
def test_a_faulty_loop_gets_a_sentence(tmp_path: Path, function: str, said: str) -> None:
    """What it did, and what to do."""
    with pytest.raises(RunFault, match=said) as caught:
        train(tmp_path, spec(function))
    assert (caught.value.reason, caught.value.retryable) == ("LoopFailed", False)


def test_a_loop_that_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    """The field, the module and the function."""
    with pytest.raises(RunFault, match=r"has no function nothing; correct loop\.module"):
        train(tmp_path, spec("nothing"))
    with pytest.raises(RunFault, match=r"no module nowhere for loop\.module nowhere:train"):
        train(tmp_path, train_spec(loop={"module": "nowhere:train"}))


def test_a_loop_cannot_swallow_a_stop(tmp_path: Path) -> None:
    """What its calls raise comes out, whatever it catches."""
    with pytest.raises(Interrupted):
        train(tmp_path, spec("swallows"), should_stop=Stop())


def test_a_fault_of_the_network_is_told_as_such(tmp_path: Path) -> None:
    """The network's bug is not the loop's."""
    model = {"module": "tests.workers.train.user_models:fails_in_step_3"}
    with pytest.raises(RunFault, match="raised ValueError: no more") as caught:
        train(tmp_path, spec("plain", model=model))
    assert caught.value.reason == "ModelFailed"
