"""Only the largest entries: what travels, what is kept, and momentum."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from headrace.api.compression import TopK
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.top_k import TopKExchange
from tests.workers.train.threads import wires_of_threads

SHAPE = (64, 128)
"""Two chunks."""


def exchanges(world_size: int, fraction: float = 0.1, warmup: int = 0, momentum: float = 0.0) -> list[TopKExchange]:
    settings = TopK(fraction=fraction, warmup_steps=warmup)
    return [TopKExchange(world_size, settings, momentum, wire) for wire in wires_of_threads(world_size)]


def gradients(step: int, rank: int) -> dict[str, torch.Tensor]:
    numbers = torch.Generator().manual_seed(step * 100 + rank)
    return {"weight": torch.randn(SHAPE, generator=numbers), "bias": torch.randn(128, generator=numbers)}


def run(ranks: list[TopKExchange], steps: range) -> list[list[dict[str, torch.Tensor]]]:
    def one(rank: int) -> list[dict[str, torch.Tensor]]:
        out = []
        for step in steps:
            mine = gradients(step, rank)
            ranks[rank].step = step
            ranks[rank].exchange(torch.empty(64 * 128 + 128), mine)
            out.append(mine)
        return out

    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(one, range(len(ranks))))


def mean(step: int, world_size: int, name: str) -> torch.Tensor:
    return torch.stack([gradients(step, rank)[name] for rank in range(world_size)]).mean(dim=0)


def test_the_largest_entries_of_each_chunk_travel() -> None:
    """A tenth of each, to three digits; vectors travel whole."""
    (rank,) = exchanges(1)
    ((found,),) = run([rank], range(1, 2))
    exact = gradients(1, 0)
    for came, chunk in zip(found["weight"].view(2, -1), exact["weight"].view(2, -1), strict=True):
        largest = chunk.abs().topk(410).indices
        assert set(came.nonzero().flatten().tolist()) == set(largest.tolist())
        torch.testing.assert_close(came[largest], chunk[largest], rtol=0.01, atol=0.0)
    torch.testing.assert_close(found["bias"], exact["bias"])


@pytest.mark.parametrize("world_size", [2, 3])
def test_all_ranks_have_the_same_and_lose_nothing(world_size: int) -> None:
    """What came out, and what the ranks keep, is what went in."""
    ranks = exchanges(world_size)
    results = run(ranks, range(1, 8))
    assert all(torch.equal(each[-1]["weight"], results[0][-1]["weight"]) for each in results)
    came_out = sum(each["weight"] for each in results[0])
    kept = sum(rank.state()["error/weight"] for rank in ranks) / world_size
    went_in = sum(mean(step, world_size, "weight") for step in range(1, 8))
    torch.testing.assert_close(came_out + kept, went_in, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[0][0]["bias"], mean(1, world_size, "bias"))


def test_momentum_runs_until_an_entry_is_sent() -> None:
    """A constant gradient that is not sent gathers as it would with momentum; once sent its velocity starts anew."""
    (rank,) = exchanges(1, fraction=1 / 4096, momentum=0.5)
    small, large = torch.zeros(SHAPE), torch.zeros(SHAPE)
    small[0, 0] = 1.0
    sent = []
    for step in range(1, 4):
        large[0, 1] = 10.0 if step < 3 else 0.0
        gradient = small + large
        rank.step = step
        rank.exchange(gradient.view(-1), {"weight": gradient})
        sent.append(gradient[0, :2].tolist())
    # The large one goes at once; of the small one 1 + 1.5 + 1.75 have gathered by the third step.
    assert sent == [[0.0, 10.0], [0.0, 10.0], [4.25, 0.0]]
    assert float(rank.state()["velocity/weight"].abs().sum()) == 0.0


def test_the_share_shrinks_in_the_warm_up() -> None:
    """From a quarter, by the same factor each step."""
    (rank,) = exchanges(1, fraction=0.01, warmup=4)
    found = [int((step[0]["weight"] != 0).sum()) // 2 for step in zip(*run([rank], range(1, 7)), strict=True)]
    assert found == [458, 205, 92, 41, 41, 41]


def test_state_is_restored_to_the_same_bits() -> None:
    """A resumed run goes on as if it had not stopped."""
    whole = run(exchanges(2, momentum=0.9), range(1, 7))[0][-1]["weight"]
    first = exchanges(2, momentum=0.9)
    run(first, range(1, 4))
    second = exchanges(2, momentum=0.9)
    for old, new in zip(first, second, strict=True):
        new.restore(old.state())
    assert torch.equal(run(second, range(4, 7))[0][-1]["weight"], whole)


def test_bytes_are_counted() -> None:
    """At 1 % an entry of 41 in 4,096 takes 4 bytes to each of the others."""
    wire = Wire(add_up=lambda _: None, gather=lambda into, mine: into.view(4, -1).copy_(mine.expand(4, -1)))
    exchange = TopKExchange(4, TopK(fraction=0.01, warmup_steps=0), 0.0, wire)
    large = torch.randn(512, 1024)
    exchange.step = 1
    exchange.exchange(large.view(-1), {"weight": large})
    assert exchange.bytes_sent == 3 * 128 * 41 * 4
    assert exchange.bytes_uncompressed / exchange.bytes_sent > 49
