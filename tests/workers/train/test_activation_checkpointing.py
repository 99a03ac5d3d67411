"""Activations that are computed twice and kept once."""

from typing import Any

import pytest
import torch

from headrace_workers.faults import RunFault
from headrace_workers.train.learner import Learner
from tests.workers.train.builders import equal, learn, learners

BLOCKS: dict[str, Any] = {"model": {"module": "tests.workers.train.user_models:blocks"}}
ALL: dict[str, Any] = {**BLOCKS, "activationCheckpointing": {"modules": ["blocks"]}}


def kept_bytes(rank: Learner) -> int:
    """What a forward pass in training keeps for the backward pass, parameters not counted."""
    own = {each.data_ptr() for each in rank.network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answers = rank.network(torch.randn(64, 8))
    assert answers.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("more", [{}, {"precision": "BFloat16", "microBatchSize": 7}], ids=["plain", "bfloat16"])
def test_a_step_has_the_same_bits(more: dict[str, Any]) -> None:
    """Dropout draws the same the second time, in the type that the first was in."""
    (plain,), (twice,) = learners(1, **BLOCKS, **more), learners(1, **ALL, **more)
    for step in (1, 2, 3):
        learn([plain], step, torch.arange(30))
        learn([twice], step, torch.arange(30))
    assert equal(plain.weights, twice.weights)


def test_less_is_kept() -> None:
    """A block keeps its input, where it had kept ten times that."""
    (plain,), (twice,) = learners(1, **BLOCKS), learners(1, **ALL)
    assert kept_bytes(twice) < kept_bytes(plain) / 5


def test_one_of_a_list_may_be_named() -> None:
    """Twice named is named once."""
    (some,), (every,) = (
        learners(1, **BLOCKS, activationCheckpointing={"modules": names})
        for names in (["blocks.1", "blocks.1"], ["blocks"])
    )
    assert kept_bytes(every) < kept_bytes(some)
    assert learn([some], 1, torch.arange(30))


def test_names_are_what_they_were() -> None:
    """A checkpoint fits with and without."""
    (plain,), (twice,) = learners(1, **BLOCKS), learners(1, **ALL)
    assert plain.weights.keys() == twice.weights.keys()


@pytest.mark.parametrize(
    ("names", "norm", "reason", "message"),
    [
        (["layers"], False, "ModuleUnknown", "modules names layers, which no module is called; there are first, blocks, blocks.0"),
        (["blocks"], True, "NotSupported", r"blocks\.0\.0 keeps statistics of each batch"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(names: list[str], norm: bool, reason: str, message: str) -> None:
    """With the field, the module and what to do."""
    model = {**BLOCKS["model"], "parameters": {"norm": norm}}
    with pytest.raises(RunFault, match=message) as caught:
        learners(1, model=model, activationCheckpointing={"modules": names})
    assert (caught.value.reason, caught.value.retryable) == (reason, False)
