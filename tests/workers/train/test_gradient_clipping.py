"""How long a gradient may be, on ranks that are threads."""

import math
from typing import Any

import pytest
import torch

from headrace_workers.models import build_network
from headrace_workers.train.gradient_clipping import clip
from headrace_workers.train.learner import Learner
from tests.workers.train.builders import STEADY, blobs, copied, equal, learn, learners, together, train_spec

BATCH = torch.arange(33)
MAX_NORM = 0.01
SGD = {"name": "SGD", "learningRate": 1.0, "momentum": 0.9}
CLIPPED: dict[str, Any] = {"gradientClipping": {"maxNorm": MAX_NORM}, "optimizer": {**SGD, "momentum": 0.0}}


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return float(torch.cat([(each - other[name]).reshape(-1) for name, each in one.items()]).norm())


def test_a_vector_is_scaled_as_torch_does() -> None:
    """To the bound where it is longer; else not a bit is changed."""
    gradient = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.zeros(1000))
    parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_([parameter], 0.5)
    mine = gradient.clone()
    clip(mine, 0.5)
    torch.testing.assert_close(mine, parameter.grad)
    short = gradient.clone()
    clip(short, 1000.0)
    assert torch.equal(short, gradient)


def test_the_average_is_clipped_as_one_worker_would() -> None:
    """Three ranks take the step that plain torch takes on the whole batch with clip_grad_norm_."""
    ranks, train = learners(3, **CLIPPED), blobs().splits["train"]
    network = build_network(train_spec(model=STEADY).model, (8,), 3)
    network.load_state_dict(copied(ranks[0].weights))
    torch.nn.functional.cross_entropy(network(train.inputs[BATCH]), train.targets[BATCH]).backward()
    assert torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM) > 10 * MAX_NORM
    torch.optim.SGD(network.parameters(), lr=1.0).step()
    learn(ranks, 1, BATCH)
    for name, each in network.state_dict().items():
        torch.testing.assert_close(ranks[0].weights[name], each, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["none", "int4", "powerSgd", "topK"])
def test_all_ranks_clip_alike(method: str) -> None:
    """To the bit, however gradients travel."""
    ranks = learners(3, **CLIPPED, compression={method: {}})
    for step in (1, 2):
        before = copied(ranks[0].weights)
        learn(ranks, step, BATCH)
        assert all(equal(each.weights, ranks[0].weights) for each in ranks)
        if method != "topK":
            assert distance(ranks[0].weights, before) == pytest.approx(MAX_NORM, rel=1e-3)


def test_top_k_clips_what_goes_into_an_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank's part of the average to maxNorm / sqrt(ranks), before momentum and residual, which are not clipped."""
    ranks = learners(4, **{**CLIPPED, "optimizer": SGD}, compression={"topK": {"warmupSteps": 0}})
    parts: list[float] = []
    for rank in ranks:
        exchange = rank._exchange
        assert exchange

        def average(flat: torch.Tensor, gradients: Any, average: Any = exchange.average) -> None:
            parts.append(float(flat.norm()) / len(ranks))
            average(flat, gradients)

        monkeypatch.setattr(exchange, "average", average)
    learn(ranks, 1, BATCH)
    assert parts == pytest.approx([MAX_NORM / math.sqrt(4)] * 4, rel=1e-3)


def test_in_a_round_each_rank_clips_its_own() -> None:
    """A local step is no longer than the bound."""
    ranks = learners(2, **CLIPPED, compression={"diLoCo": {"localSteps": 2}})
    before = copied(ranks[0].weights)
    learn(ranks, 1, BATCH)
    assert [distance(each.weights, before) for each in ranks] == pytest.approx([MAX_NORM] * 2, rel=1e-3)
    assert not equal(ranks[0].weights, ranks[1].weights)


def test_a_scaled_loss_is_clipped_as_one_that_is_not() -> None:
    """The bound is on the gradient itself, whatever float16 needs."""
    (rank,) = learners(1, **CLIPPED, precision="Float16")
    before = copied(rank.weights)
    learn([rank], 1, BATCH)
    assert distance(rank.weights, before) == pytest.approx(MAX_NORM, rel=1e-3)


def test_what_is_owed_is_clipped_with_the_rest_when_it_is_paid() -> None:
    """A step on which somebody leaves is no longer than others."""

    def pay(rank: Learner) -> None:
        rank.learn(2, BATCH, pays=True)

    ranks = learners(3, **CLIPPED, compression={"int4": {"block": 64}})
    learn(ranks, 1, BATCH)
    before = copied(ranks[0].weights)
    together(ranks, pay)
    assert distance(ranks[0].weights, before) == pytest.approx(MAX_NORM, rel=1e-3)
