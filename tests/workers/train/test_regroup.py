"""What exchanges owe when a group changes, when it is to be paid, and when a collective fails; ranks are threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from headrace.api.compression import Compression
from headrace_workers.train.compression import GradientExchange, exchange_of
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.group import PeerLost
from tests.workers.train.threads import wires_of_threads

SHAPES = {"first": (64, 128), "second": (32, 256), "bias": (64,)}
OWING: dict[str, Any] = {
    "int8": {"int8": {"block": 64}},
    "int4": {"int4": {"block": 64}},
    "powerSgd": {"powerSgd": {"rank": 2, "warmupSteps": 0}},
    "topK": {"topK": {"fraction": 0.05, "warmupSteps": 0}},
}
ALL: dict[str, Any] = {**OWING, "none": {"none": {}}, "bf16": {"bf16": {}}, "auto": {"auto": {"loss": "Preserve"}}}


def exchanges(method: Any, world_size: int) -> list[GradientExchange]:
    compression = Compression.model_validate(method)
    return [
        exchange_of(compression, world_size, rank, 0, wire) for rank, wire in enumerate(wires_of_threads(world_size))
    ]


def bucket(step: int, rank: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    sizes = [torch.Size(shape).numel() for shape in SHAPES.values()]
    flat = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(step * 100 + rank))
    parts = flat.split(sizes)
    return flat, {name: part.view(SHAPES[name]) for name, part in zip(SHAPES, parts, strict=True)}


def together(
    ranks: list[GradientExchange], step: int, act: Callable[[GradientExchange, Any], None]
) -> list[torch.Tensor]:
    """What each rank's bucket is after all have done something with it."""
    buckets = [bucket(step, rank) for rank in range(len(ranks))]
    for each in ranks:
        each.step = step
    with ThreadPoolExecutor(len(ranks)) as pool:
        list(pool.map(act, ranks, buckets))
    return [flat for flat, _ in buckets]


def average(exchange: GradientExchange, of: Any) -> None:
    exchange.exchange(*of)


def pay(exchange: GradientExchange, of: Any) -> None:
    exchange.pay(*of)


def owed_mean(ranks: list[GradientExchange], world_size: int) -> dict[str, torch.Tensor]:
    """What the ranks together add to the next averages of a group of that size."""
    total = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    for each in ranks:
        for name, owed in each.owed().items():
            total[name] += owed.view(SHAPES[name]) / world_size
    return total


@pytest.mark.parametrize("method", OWING)
@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 2), (2, 3)])
def test_what_those_that_stay_owe_counts_as_before(method: str, before: int, after: int) -> None:
    """To each average of the new group they add what they added to the old one's; newcomers owe nothing."""
    old, new = exchanges(OWING[method], before), exchanges(OWING[method], after)
    for step in (1, 2, 3):
        together(old, step, average)
    staying = old[: min(before, after)]
    owed = owed_mean(staying, before)
    assert owed["first"].norm() > 0
    for rank, (each, fresh) in enumerate(zip(staying, new, strict=False)):
        each.wire = fresh.wire
        each.regroup(rank, after)
    for name, mean in owed_mean(staying, after).items():
        torch.testing.assert_close(mean, owed[name], rtol=1e-4, atol=1e-5)
    common = staying[0].common()
    for newcomer in new[len(staying) :]:
        newcomer.take_common(common)
    answers = together([*staying, *new[len(staying) :]], 4, average)
    assert all(torch.equal(answer, answers[0]) for answer in answers)


@pytest.mark.parametrize("method", ALL)
def test_paying_leaves_nothing_owed(method: str) -> None:
    """The exact mean of gradients and of all that was owed comes out, and then nobody owes anything."""
    ranks = exchanges(ALL[method], 3)
    for step in (1, 2):
        together(ranks, step, average)
    owed = owed_mean(ranks, 3)
    exact = torch.stack([bucket(3, rank)[0] for rank in range(3)]).mean(dim=0)
    exact += torch.cat([owed[name].reshape(-1) for name in SHAPES])
    answers = together(ranks, 3, pay)
    for answer in answers:
        torch.testing.assert_close(answer, exact, rtol=1e-4, atol=1e-5)
    assert all(not each.any() for rank in ranks for each in rank.owed().values())


COLLECTIVES = [
    ("none", "add_up"), ("bf16", "add_up"), ("int8", "swap"), ("int4", "gather"), ("powerSgd", "add_up"),
    ("topK", "add_up"), ("topK", "gather"), ("auto", "add_up"), ("auto", "gather"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "failing"), COLLECTIVES)
def test_a_collective_that_fails_changes_nothing(method: str, failing: str) -> None:
    """The step may be taken again: what is owed and what all have in common are as they were."""
    ranks = exchanges(ALL[method], 1)
    rank = ranks[0]
    for step in (1, 2):
        together(ranks, step, average)
    state, whole = {name: each.clone() for name, each in rank.state().items()}, rank.wire
    rank.step = 3

    def fail(*_: torch.Tensor) -> None:
        raise PeerLost("gone")

    rank.wire = Wire(**{name: getattr(whole, name) for name in ("add_up", "swap", "gather")} | {failing: fail})
    if inner := getattr(rank, "_chosen", None):
        inner.wire = rank.wire
    with pytest.raises(PeerLost):
        average(rank, bucket(3, 0))
    after = rank.state()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], state[name]) for name in state)
