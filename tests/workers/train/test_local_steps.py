"""Rounds of local steps: the outer step, by ranks that are threads; real ones are in test_ranks.py."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from headrace_workers.train.compression.base import GradientExchange, Wire
from headrace_workers.train.compression.local_steps import OUTER_MOMENTUM, OUTER_RATE, LocalSteps
from headrace_workers.train.compression.none import PlainExchange
from headrace_workers.train.group import PeerLost
from tests.workers.train.threads import wires_of_threads


class Rank:
    """A network that moves as it is told."""

    def __init__(self, exchange: GradientExchange, steps: int = 4) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        self.parameters = dict(self.network.named_parameters())
        self.exchange = exchange
        self.rounds = LocalSteps(steps, self.network, self.parameters, exchange)

    def go(self, far: float, taken: int = 4) -> None:
        """Moves every parameter, and the norm's mean, by so much in so many steps; then ends the round of four."""
        with torch.no_grad():
            for parameter in self.parameters.values():
                parameter.sub_(far)
            self.network[1].running_mean.add_(far)
        for _ in range(taken):
            self.rounds.took_step()
        self.rounds.finish(4)

    @property
    def weight(self) -> torch.Tensor:
        return self.parameters["0.weight"].detach().clone()


def ranks(count: int) -> list[Rank]:
    return [Rank(PlainExchange(count, wire)) for wire in wires_of_threads(count)]


def go(group: list[Rank], distances: list[float]) -> None:
    with ThreadPoolExecutor(len(group)) as pool:
        list(pool.map(lambda pair: pair[0].go(pair[1]), zip(group, distances, strict=True)))


def test_a_round_ends_with_a_nesterov_step_by_the_mean_distance() -> None:
    """All ranks go on from the same parameters; the second round is pushed by the first one's momentum."""
    group = ranks(2)
    start = group[0].weight
    go(group, [1.0, 3.0])
    first = start - OUTER_RATE * (2.0 + OUTER_MOMENTUM * 2.0)
    for rank in group:
        torch.testing.assert_close(rank.weight, first)
    go(group, [1.0, 1.0])
    momentum = OUTER_MOMENTUM * 2.0 + 1.0
    for rank in group:
        torch.testing.assert_close(rank.weight, first - OUTER_RATE * (1.0 + OUTER_MOMENTUM * momentum))


def test_one_that_joined_within_the_round_does_not_weigh() -> None:
    """The mean is over the ranks that took the steps; afterwards all are the same, and the next round counts them all."""
    group = ranks(2)
    start = group[0].weight
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each[0].go(*each[1:]), [(group[0], 2.0, 4), (group[1], 0.0, 0)]))
    first = start - OUTER_RATE * (2.0 + OUTER_MOMENTUM * 2.0)
    for rank in group:
        torch.testing.assert_close(rank.weight, first)
    go(group, [1.0, 3.0])
    momentum = OUTER_MOMENTUM * 2.0 + 2.0
    torch.testing.assert_close(group[1].weight, first - OUTER_RATE * (2.0 + OUTER_MOMENTUM * momentum))


def test_a_round_that_fails_may_be_finished_again() -> None:
    """A collective that fails leaves parameters, momentum and steps as they were."""
    rank, whole = ranks(1)[0], ranks(1)[0]
    rank.go(1.0)
    whole.go(1.0)
    wire = rank.exchange.wire

    def fail(_: torch.Tensor) -> None:
        raise PeerLost("gone")

    rank.exchange.wire = Wire(add_up=fail)
    with pytest.raises(PeerLost):
        rank.go(2.0)
    rank.exchange.wire = wire
    rank.rounds.finish(4)
    whole.go(2.0)
    assert torch.equal(rank.weight, whole.weight)


def test_buffers_are_averaged() -> None:
    """A norm's statistics, which no step moves, are the mean of the ranks'."""
    group = ranks(2)
    go(group, [1.0, 3.0])
    assert all(torch.allclose(rank.network[1].running_mean, torch.full((2,), 2.0)) for rank in group)


def test_the_outer_momentum_is_restored() -> None:
    """A resumed run's next round is that of one that did not stop."""
    (whole,) = ranks(1)
    whole.go(1.0)
    resumed = ranks(1)[0]
    resumed.network.load_state_dict(whole.network.state_dict())
    resumed.rounds.restore(whole.rounds.state())
    whole.go(2.0)
    resumed.go(2.0)
    assert torch.equal(resumed.weight, whole.weight)


@pytest.mark.parametrize(("step", "ends"), [(3, False), (4, True), (5, False), (8, True)])
def test_rounds_end_every_so_many_steps(step: int, ends: bool) -> None:
    """Counted from the start of the run."""
    assert Rank(PlainExchange(1, Wire(add_up=lambda _: None))).rounds.ends(step) is ends


def test_plain_training_would_have_sent_a_gradient_a_step() -> None:
    """What compression saves is measured against an exchange at each of the round's four steps."""
    group = ranks(2)
    go(group, [1.0, 1.0])
    parameters, buffers = 4 * (6 + 2 + 2 + 2), 4 * (2 + 2)
    assert group[0].exchange.bytes_uncompressed == 4 * parameters
    assert group[0].exchange.bytes_sent == parameters + buffers + 4
