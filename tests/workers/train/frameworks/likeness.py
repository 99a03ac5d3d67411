"""Runs with and without a trainer of another library, which should come to the same."""

from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.api.train_job import TrainJobSpec
from headrace_workers.faults import Interrupted
from tests.workers.train.builders import STEADY, train_spec
from tests.workers.train.test_loop import Stop, last_tensors, train


def spec(function: str, parameters: dict[str, Any] | None = None, **changes: Any) -> TrainJobSpec:
    """A run whose loop is a function of user_loops.py."""
    own = {"module": f"tests.workers.train.user_loops:{function}", "parameters": parameters or {}}
    return train_spec(**{"model": STEADY, "loop": own, **changes})


def require_like_built_in(folder: Path, function: str, changes: dict[str, Any]) -> None:
    """The same weights and optimizer state, but for rounding."""
    built_in = train(folder / "one", train_spec(model=STEADY, **changes))
    own = train(folder / "other", spec(function, **changes))
    assert own.step == built_in.step == 12
    mine, theirs = last_tensors(folder / "one"), last_tensors(folder / "other")
    assert mine.keys() == theirs.keys()
    for name, each in mine.items():
        torch.testing.assert_close(each, theirs[name], rtol=1e-3, atol=1e-3)


def require_resumed_alike(folder: Path, function: str) -> None:
    """A run that was stopped ends with the same bits as one that was not; run once more, it reads its result."""
    train(folder / "whole", spec(function))
    with pytest.raises(Interrupted):
        train(folder / "parts", spec(function), should_stop=Stop())
    assert train(folder / "parts", spec(function)).resumed_from
    theirs = last_tensors(folder / "whole")
    assert all(torch.equal(each, theirs[name]) for name, each in last_tensors(folder / "parts").items())
    assert train(folder / "parts", spec(function)).step == 12
