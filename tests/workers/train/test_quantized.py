"""Gradients as small integers: ranks in threads that exchange through memory; real ones are in test_ranks.py."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from headrace.api.compression import Quantized
from headrace_workers.train.checkpoints import SHARD
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.quantized import QuantizedExchange
from tests.workers.train.threads import wires_of_threads

SHAPES = {"first": (24, 50), "second": (7, 40), "bias": (50,), "tiny": (2, 3)}


def exchanges(world_size: int, bits: int = 4) -> list[QuantizedExchange]:
    wires = wires_of_threads(world_size)
    return [QuantizedExchange(world_size, rank, bits, Quantized(block=32), wire) for rank, wire in enumerate(wires)]


def gradients(step: int, rank: int) -> dict[str, torch.Tensor]:
    """Gradients of this rank, as views into a bucket in no particular order."""
    numbers = torch.Generator().manual_seed(step * 100 + rank)
    flat = torch.randn(sum(torch.Size(shape).numel() for shape in SHAPES.values()), generator=numbers)
    sizes = [torch.Size(shape).numel() for shape in SHAPES.values()]
    return {name: part.view(SHAPES[name]) for name, part in zip(SHAPES, flat.split(sizes), strict=True)}


def run(ranks: list[QuantizedExchange], steps: range) -> list[list[dict[str, torch.Tensor]]]:
    """What each rank has after each step."""

    def one(rank: int) -> list[dict[str, torch.Tensor]]:
        out = []
        for step in steps:
            mine = gradients(step, rank)
            ranks[rank].exchange(torch.empty(sum(each.numel() for each in mine.values())), mine)
            out.append(mine)
        return out

    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(one, range(len(ranks))))


def mean(step: int, world_size: int, name: str) -> torch.Tensor:
    return torch.stack([gradients(step, rank)[name] for rank in range(world_size)]).mean(dim=0)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize(("bits", "close"), [(4, 0.35), (8, 0.02)])
def test_every_rank_has_the_same_average(world_size: int, bits: int, close: float) -> None:
    """The same bits everywhere, near the exact mean; what travels whole is exact."""
    results = run(exchanges(world_size, bits), range(1, 2))
    for name in SHAPES:
        answers = [result[0][name] for result in results]
        assert all(torch.equal(answer, answers[0]) for answer in answers)
        assert (answers[0] - mean(1, world_size, name)).norm() <= close * mean(1, world_size, name).norm()
    for name in ("bias", "tiny"):
        torch.testing.assert_close(results[0][0][name], mean(1, world_size, name))


def test_error_feedback_loses_nothing() -> None:
    """All that came out, and what senders and owners still keep, is what went in."""
    world_size, steps = 3, range(1, 9)
    ranks = exchanges(world_size)
    results = run(ranks, steps)
    for name in ("first", "second"):
        came_out = sum(result[name] for result in results[0])
        states = [rank.state() for rank in ranks]
        kept = sum(state[f"error/{name}"] for state in states) / world_size
        owned = sum(state[f"{SHARD}{name}"] for state in states if f"{SHARD}{name}" in state)
        went_in = sum(mean(step, world_size, name) for step in steps)
        torch.testing.assert_close(came_out + kept + owned, went_in, rtol=1e-4, atol=1e-4)


def test_state_is_restored_to_the_same_bits() -> None:
    """A group of the same size goes on as if it had not stopped."""
    whole = run(exchanges(3), range(1, 7))
    first = exchanges(3)
    run(first, range(1, 4))
    second = exchanges(3)
    for old, new in zip(first, second, strict=True):
        new.restore(dict(reversed(old.state().items())))
    assert torch.equal(run(second, range(4, 7))[0][-1]["first"], whole[0][-1]["first"])


def test_a_group_of_another_size_keeps_what_was_lost() -> None:
    """From three ranks to two: the mean of the senders' errors and the sum of the owners' are there as before."""
    old = exchanges(3)
    run(old, range(1, 4))
    states = [rank.state() for rank in old]
    shared = {key: sum(state[key] for state in states) / 3 for key in states[0] if not key.startswith(SHARD)}
    owned: dict[str, torch.Tensor] = {}
    for state in states:
        for key, tensor in state.items():
            if key.startswith(SHARD):
                owned[key] = owned.get(key, torch.zeros_like(tensor)) + tensor
    new = exchanges(2)
    for rank in new:
        rank.restore({**shared, **owned})
    results = run(new, range(4, 6))
    after = [rank.state() for rank in new]
    for name in ("first", "second"):
        before = shared[f"error/{name}"] + owned[f"{SHARD}{name}"]
        went_in = before + sum(mean(step, 2, name) for step in range(4, 6))
        kept = sum(state[f"error/{name}"] for state in after) / 2
        left = sum(state[f"{SHARD}{name}"] for state in after if f"{SHARD}{name}" in state)
        came_out = sum(result[name] for result in results[0])
        torch.testing.assert_close(came_out + kept + left, went_in, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bits", "ratio"), [(4, 7.5), (8, 3.9)])
def test_bytes_are_counted(bits: int, ratio: float) -> None:
    """A large matrix travels in an eighth, or a quarter, of its bytes, scales included."""
    wire = Wire(
        swap=lambda into, mine: into.copy_(mine), gather=lambda into, mine: into.view(4, -1).copy_(mine.expand(4, -1))
    )
    exchange = QuantizedExchange(4, 0, bits, Quantized(), wire)
    large = torch.randn(512, 1024)
    exchange.exchange(large.view(-1), {"weight": large})
    assert ratio <= exchange.bytes_uncompressed / exchange.bytes_sent <= 32 / bits
    assert exchange.encoding_seconds > 0
