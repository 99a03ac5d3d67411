"""The way that is fastest: on wires of known speed, between ranks that are threads."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch

from headrace.api.compression import Auto, Compression, LossPolicy
from headrace_workers.train.compression.auto import AutoExchange
from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.choose import exchange_of
from tests.workers.train.threads import wires_of_threads

SHAPE = (256, 512)


def slowed(wire: Wire, bytes_a_second: float, world_size: int) -> Wire:
    """A wire whose collectives take as long as their bytes."""

    def after(work: Callable[..., object], share: float) -> Callable[..., object]:
        def do(*tensors: torch.Tensor) -> object:
            time.sleep(share * tensors[-1].numel() * tensors[-1].element_size() / bytes_a_second)
            return work(*tensors)

        return do

    others = world_size - 1
    return Wire(
        after(wire.add_up, 2 * others / world_size), after(wire.swap, others / world_size), after(wire.gather, others)
    )


def ranks(world_size: int, bytes_a_second: float = 0.0, loss: LossPolicy = LossPolicy.PRESERVE) -> list[AutoExchange]:
    wires = wires_of_threads(world_size)
    if bytes_a_second:
        wires = [slowed(wire, bytes_a_second, world_size) for wire in wires]
    made = [
        exchange_of(Compression(auto=Auto(loss=loss)), world_size, rank, 0, wire) for rank, wire in enumerate(wires)
    ]
    assert all(isinstance(each, AutoExchange) for each in made)
    return made  # type: ignore[return-value]


def gradient(step: int, rank: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step * 10 + rank))


def run(exchanges: list[AutoExchange], steps: list[int]) -> list[torch.Tensor]:
    """What rank 0 has after each step; the others have the same."""

    def one(rank: int) -> list[torch.Tensor]:
        out = []
        for step in steps:
            mine = gradient(step, rank)
            exchanges[rank].step = step
            exchanges[rank].exchange(mine.view(-1), {"weight": mine})
            out.append(mine)
        return out

    with ThreadPoolExecutor(len(exchanges)) as pool:
        results = list(pool.map(one, range(len(exchanges))))
    assert all(torch.equal(mine, first) for other in results for mine, first in zip(other, results[0], strict=True))
    return results[0]


@pytest.mark.parametrize(("loss", "method"), [(LossPolicy.PRESERVE, "int4"), (LossPolicy.RELAXED, "powerSgd")])
def test_the_fastest_way_is_taken(loss: LossPolicy, method: str) -> None:
    """Half a megabyte takes a sixth of a second on a slow wire."""
    exchanges = ranks(2, 3e6, loss)
    run(exchanges, [1, 2])
    assert [each.method for each in exchanges] == ["none", "none"]
    run(exchanges, [3])
    assert [each.method for each in exchanges] == [method, method]


def test_nothing_is_encoded_where_that_takes_longer_than_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a wire that takes no time, encoding that takes some is left."""
    exchanges = ranks(2)

    def slow_to_encode(make: Callable[[str], GradientExchange], name: str) -> GradientExchange:
        made = make(name)
        average = made.average

        def encode_slowly(*given: Any) -> None:
            time.sleep(0.1)
            # Or it would count as the wire's: then the whole gradient is hopeless, or just not, by a hair.
            made.encoding_seconds += 0.1
            average(*given)

        if name != "none":
            monkeypatch.setattr(made, "average", encode_slowly)
        return made

    for each in exchanges:
        monkeypatch.setattr(each, "_make", partial(slow_to_encode, each._make))
    run(exchanges, [3])
    assert [each.method for each in exchanges] == ["none", "none"]


def test_what_is_hopeless_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow wire only the ways with few bytes are tried; the others are expected to take longer."""
    made: list[str] = []
    exchanges = ranks(2, 3e6)
    for each in exchanges:
        make = each._make
        monkeypatch.setattr(each, "_make", lambda name, make=make: (made.append(name), make(name))[1])
    run(exchanges, [3])
    assert set(made) == {"int4", "int8"}


def scripted(monkeypatch: pytest.MonkeyPatch, choices: Mapping[int, str]) -> None:
    """Has a way win at a step."""

    def costs(self: AutoExchange, *_: Any) -> dict[str, float]:
        return {name: 1.0 if name == choices[self.step] else 2.0 for name in self._ways}

    monkeypatch.setattr(AutoExchange, "costs", costs)


def test_a_change_of_ways_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What int4 and PowerSGD still owe is added to the next gradients: once all travel whole, all has come out."""
    scripted(monkeypatch, {3: "int4", 50: "powerSgd", 500: "none"})
    exchanges = ranks(3, loss=LossPolicy.RELAXED)
    steps = [1, 2, 3, 4, 5, 50, 51, 52, 500]
    came_out = sum(run(exchanges, steps))
    went_in = sum(torch.stack([gradient(step, rank) for rank in range(3)]).mean(dim=0) for step in steps)
    torch.testing.assert_close(came_out, went_in, rtol=1e-3, atol=1e-3)
    assert exchanges[0].method == "none"


def test_a_little_faster_is_not_worth_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise does not make the ranks change their ways."""
    monkeypatch.setattr(AutoExchange, "costs", lambda *_: {"none": 1.0, "bf16": 0.97, "int8": 2.0, "int4": 2.0})
    exchanges = ranks(1)
    run(exchanges, [3])
    assert exchanges[0].method == "none"


def test_the_way_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run goes on in the same way, with the same bits, until it is time to try again."""
    scripted(monkeypatch, {3: "int4"})
    whole = run(ranks(2), [1, 2, 3, 4, 5, 6])[-1]
    first = ranks(2)
    run(first, [1, 2, 3, 4])
    second = ranks(2)
    for old, new in zip(first, second, strict=True):
        new.restore(old.state())
    assert [each.method for each in second] == ["int4", "int4"]
    assert torch.equal(run(second, [5, 6])[-1], whole)


def test_trials_count_as_traffic() -> None:
    """What is sent to find out is sent."""
    exchanges = ranks(2)
    run(exchanges, [3])
    assert exchanges[0].bytes_sent > exchanges[0].bytes_uncompressed
