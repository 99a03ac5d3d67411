"""Networks that torch compiles; on a GPU in test_cuda.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from headrace_workers.faults import Interrupted, RunFault
from headrace_workers.storage import Folder
from headrace_workers.train.checkpoints import WEIGHTS, Checkpoints
from headrace_workers.train.compiled import compile_in_place, faults_of_compiling
from headrace_workers.train.group import Group
from headrace_workers.train.loop import fit
from headrace_workers.train.progress import FitResult
from tests.workers.train.builders import blobs, learners, train_spec


def train(folder: Path, *, stops: bool = False, **changes: Any) -> tuple[FitResult, dict[str, torch.Tensor]]:
    """The result, and the weights as they are saved."""
    asked = iter(range(10_000))
    result = fit(
        train_spec(**changes), blobs(), Folder(f"file://{folder}"), group=Group(),
        on_progress=lambda _: None, should_stop=lambda: stops and next(asked) > 0,
    )  # fmt: skip
    checkpoint = Checkpoints(Folder(f"file://{folder}/checkpoints")).newest()
    assert checkpoint
    return result, checkpoint.tensors(WEIGHTS)


@pytest.mark.slow
def test_a_compiled_network_learns_under_its_own_names(tmp_path: Path) -> None:
    """What it learns without dropout is what it learns uncompiled, but for rounding."""
    steady = {"builtin": "Perceptron", "parameters": {"hidden": 32, "layers": 1}}
    (whole, plain), (compiled, weights) = train(tmp_path / "plain", model=steady), train(tmp_path / "compiled", model=steady, compile=True)  # fmt: skip
    assert weights.keys() == plain.keys()
    for name, each in weights.items():
        torch.testing.assert_close(each, plain[name], rtol=1e-3, atol=1e-4)
    assert compiled.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-3)


@pytest.mark.slow
def test_a_compiled_run_that_is_interrupted_ends_with_the_same_bits(tmp_path: Path) -> None:
    """What resumes compiles anew, and comes to the same code."""
    steady = {"builtin": "Perceptron", "parameters": {"hidden": 32, "layers": 1}}
    _, whole = train(tmp_path / "whole", model=steady, compile=True)
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", stops=True, model=steady, compile=True)
    torch.compiler.reset()
    result, parts = train(tmp_path / "parts", model=steady, compile=True)
    assert result.resumed_from
    assert all(torch.equal(each, whole[name]) for name, each in parts.items())


def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is compiled, with the field and what to do."""
    monkeypatch.setenv("CXX", "no-such-compiler -O3")
    with pytest.raises(RunFault, match=r"compile needs .*no-such-compiler.*image") as caught:
        compile_in_place(torch.nn.Linear(2, 2), torch.device("cpu"))
    assert (caught.value.reason, caught.value.retryable) == ("CompileFailed", False)


def test_a_fault_of_compiling_is_told_from_one_of_the_model() -> None:
    """torch's names the field; the model's stays what it is."""
    with pytest.raises(RunFault, match="compile: torch cannot compile mine: too hard;") as caught, faults_of_compiling("mine"):  # fmt: skip
        raise TorchDynamoException("\ntoo hard\n\nSet TORCHDYNAMO_VERBOSE=1")
    assert caught.value.reason == "CompileFailed"
    with pytest.raises(ZeroDivisionError), faults_of_compiling("mine"):
        _ = 1 / 0


def test_warming_up_leaves_no_trace() -> None:
    """Statistics of a norm are as they were, whatever went through."""
    (rank,) = learners(1, model={"module": "tests.workers.train.user_models:loud", "parameters": {"norm": True}})
    before = {name: each.clone() for name, each in rank.weights.items()}
    rank._warm_up(16)
    assert rank.network.training
    assert all(torch.equal(each, before[name]) for name, each in rank.weights.items())
