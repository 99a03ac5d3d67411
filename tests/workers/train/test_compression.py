"""How gradients travel: the numbers, one rank at a time; ranks that really talk are in test_ranks.py."""

import pytest
import torch

from headrace.api.compression import PowerSgd
from headrace_workers.train.compression.base import Wire
from headrace_workers.train.compression.power_sgd import PowerSgdExchange


def alone(_: torch.Tensor) -> None:
    """The sum over one rank."""


def bucket(step: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    flat = torch.randn(48 * 40 + 30, generator=torch.Generator().manual_seed(step))
    return flat, {"weight": flat[: 48 * 40].view(48, 40), "bias": flat[48 * 40 :]}


def power_sgd(rank: int = 2, warmup: int = 0) -> PowerSgdExchange:
    return PowerSgdExchange(1, PowerSgd(rank=rank, warmup_steps=warmup), seed=0, wire=Wire(add_up=alone))


def run(exchange: PowerSgdExchange, steps: range) -> list[torch.Tensor]:
    """What comes out for each step's gradients."""
    out = []
    for step in steps:
        flat, gradients = bucket(step)
        exchange.step = step
        exchange.exchange(flat, gradients)
        out.append(flat)
    return out


def test_power_sgd_sends_the_warm_up_whole() -> None:
    """Before its start, and for vectors always, PowerSGD is exact."""
    whole, compressed = run(power_sgd(warmup=1), range(1, 3))
    assert torch.equal(whole, bucket(1)[0])
    assert not torch.equal(compressed, bucket(2)[0])
    assert torch.equal(compressed[-30:], bucket(2)[0][-30:])


def test_power_sgd_answers_have_the_rank_asked_for() -> None:
    """The approximation of a matrix has rank 2."""
    (out,) = run(power_sgd(rank=2), range(1, 2))
    assert int(torch.linalg.matrix_rank(out[: 48 * 40].view(48, 40), atol=1e-3)) == 2


def test_error_feedback_loses_nothing() -> None:
    """What came out of all steps, plus the error that is left, is what went in."""
    exchange = power_sgd()
    out = sum(run(exchange, range(1, 21)))
    went_in = sum(bucket(step)[0] for step in range(1, 21))
    left = exchange.state()["error/weight"].reshape(-1)
    assert torch.allclose(out[: 48 * 40] + left, went_in[: 48 * 40], atol=1e-3)
    assert exchange.residual_norm == pytest.approx(float(left.norm()), rel=1e-5)


def test_a_constant_gradient_is_learnt() -> None:
    """Power iteration finds a gradient of low rank: after a few steps the approximation is exact."""
    matrix = torch.randn(48, 2, generator=torch.Generator().manual_seed(1)) @ torch.randn(
        2, 40, generator=torch.Generator().manual_seed(2)
    )
    exchange = power_sgd(rank=2)
    for step in range(1, 6):
        out = matrix.clone()
        exchange.step = step
        exchange.exchange(out.view(-1), {"weight": out})
    assert torch.allclose(out, matrix, atol=1e-4)


def test_a_gradient_of_zeros_stays_finite() -> None:
    """A matrix without any gradient neither fails nor spoils the steps after it."""
    exchange = power_sgd()
    zeros = torch.zeros(48, 40)
    exchange.step = 1
    exchange.exchange(zeros.view(-1), {"weight": zeros})
    assert torch.isfinite(torch.stack(run(exchange, range(2, 5)))).all()


def test_state_is_restored_by_name() -> None:
    """A fresh exchange with the saved state goes on with the same bits, whatever the order of its bucket."""
    whole = run(power_sgd(), range(1, 9))[-1]
    first = power_sgd()
    run(first, range(1, 5))
    second = power_sgd()
    second.restore(dict(reversed(first.state().items())))
    assert torch.equal(run(second, range(5, 9))[-1], whole)


def test_power_sgd_counts_its_bytes() -> None:
    """A 48 x 40 matrix at rank 2 and 30 biases travel as 206 numbers instead of 1,950."""
    exchange = PowerSgdExchange(2, PowerSgd(rank=2, warmup_steps=0), seed=0, wire=Wire(add_up=alone))
    run(exchange, range(1, 2))
    assert (exchange.bytes_sent, exchange.bytes_uncompressed) == (4 * (88 * 2 + 30), 4 * 1950)
    assert exchange.encoding_seconds > 0
