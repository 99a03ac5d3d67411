"""Outer gradients that are sparse and coarse."""

from concurrent.futures import ThreadPoolExecutor

import torch

from headrace.api.compression import SparseLoCo
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.sparse_lo_co import FADING, SparseLoCoExchange, _signs, _values
from tests.workers.train.threads import wires_of_threads

SHAPE = (64, 128)


def exchanges(world_size: int, fraction: float = 0.03) -> list[SparseLoCoExchange]:
    return [
        SparseLoCoExchange(world_size, SparseLoCo(fraction=fraction), wire) for wire in wires_of_threads(world_size)
    ]


def gradient(step: int, rank: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step * 100 + rank))


def run(ranks: list[SparseLoCoExchange], steps: range) -> list[list[torch.Tensor]]:
    def one(rank: int) -> list[torch.Tensor]:
        out = []
        for step in steps:
            mine = gradient(step, rank)
            ranks[rank].exchange(mine.view(-1), {"weight": mine})
            out.append(mine)
        return out

    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(one, range(len(ranks))))


def test_a_magnitude_is_the_mean_of_its_quarter() -> None:
    """Signs are exact; of eight values in falling order two each share a magnitude."""
    values = torch.tensor([[8.0, -6.0, 5.0, -5.0, -4.0, 2.0, 1.0, -1.0]])
    magnitudes = values.abs().view(1, 4, 2).mean(dim=2)
    assert _values(_signs(values), magnitudes).tolist() == [[7.0, -7.0, 5.0, -5.0, -3.0, 3.0, 1.0, -1.0]]


def test_the_largest_entries_travel_and_the_rest_is_kept() -> None:
    """120 of 4,096 at 3 %; what came out and what is kept is what went in."""
    (rank,) = exchanges(1)
    ((found,),) = run([rank], range(1, 2))
    exact = gradient(1, 0)
    for came, chunk in zip(found.view(2, -1), exact.view(2, -1), strict=True):
        largest = chunk.abs().topk(120).indices
        assert set(came.nonzero().flatten().tolist()) == set(largest.tolist())
        assert torch.equal(came[largest].sign(), chunk[largest].sign())
        assert (came - chunk)[largest].norm() < 0.2 * chunk[largest].norm()
    torch.testing.assert_close(found + rank.state()["error/weight"], exact)


def test_what_is_kept_fades_and_is_added() -> None:
    """The second round's entries are chosen of the new gradient and 95 % of what was kept."""
    (rank,) = exchanges(1)
    first = run([rank], range(1, 2))[0][0]
    kept = rank.state()["error/weight"]
    second = run([rank], range(2, 3))[0][0]
    torch.testing.assert_close(second + rank.state()["error/weight"], FADING * kept + gradient(2, 0))
    assert not torch.equal(first, second)


def test_all_ranks_have_the_same_and_resume_with_it() -> None:
    """The same bits on three ranks, and in a resumed run."""
    whole = run(exchanges(3), range(1, 6))
    assert all(torch.equal(each[-1], whole[0][-1]) for each in whole)
    first = exchanges(3)
    run(first, range(1, 4))
    second = exchanges(3)
    for old, new in zip(first, second, strict=True):
        new.restore(old.state())
    assert torch.equal(run(second, range(4, 6))[0][-1], whole[0][-1])


def test_bytes_are_counted() -> None:
    """Of a chunk 120 places of 2 bytes, 15 bytes of signs and 4 magnitudes to each of the others: a thirtieth of a round's."""
    wire = Wire(add_up=lambda _: None, gather=lambda into, mine: into.view(4, -1).copy_(mine.expand(4, -1)))
    exchange = SparseLoCoExchange(4, SparseLoCo(fraction=0.03), wire)
    large = torch.randn(512, 1024)
    exchange.exchange(large.view(-1), {"weight": large})
    assert exchange.bytes_sent == 3 * 128 * (240 + 15 + 16)
    assert exchange.bytes_uncompressed / exchange.bytes_sent > 30
