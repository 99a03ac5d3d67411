"""Loss curves of ranks in one process: every rank's gradient of the same weights, exchanged in threads by the real methods.

What the ranks of a cluster would reach after so many steps, without waiting for a slow network at each of them.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from learning import Batch, Task  # noqa: E402

from headrace.api.compression import Compression  # noqa: E402
from headrace_workers.train.compression import GradientExchange, local_steps  # noqa: E402
from headrace_workers.train.compression.choose import exchange_of  # noqa: E402
from headrace_workers.train.compression.local_steps import LocalSteps  # noqa: E402
from tests.workers.train.threads import wires_of_threads  # noqa: E402

Curve = list[tuple[int, float]]
"""Step and held-out loss."""


@dataclass
class Rank:
    """One rank of a run in which each has its own network."""

    network: torch.nn.Module
    optimizer: torch.optim.Optimizer
    rounds: LocalSteps


def curve(task: Task, method: Compression, rate: float, seed: int, ranks: int, steps: int) -> Curve:
    """Trains for so many steps; the loss every few of them and at the end."""
    wires = wires_of_threads(ranks)
    exchanges = [exchange_of(method, ranks, rank, seed, wire) for rank, wire in enumerate(wires)]
    batches = [task.batches(seed, rank) for rank in range(ranks)]
    with ThreadPoolExecutor(ranks) as pool:
        if method.di_lo_co or method.sparse_lo_co:
            return _of_rounds(task, method, rate, seed, exchanges, batches, steps, pool)
        return _of_gradients(task, rate, seed, exchanges, batches, steps, pool)


def _of_gradients(
    task: Task, rate: float, seed: int, exchanges: list[GradientExchange], batches: list[Iterator[Batch]], steps: int, pool: ThreadPoolExecutor,
) -> Curve:  # fmt: skip
    torch.manual_seed(seed)
    network = task.build()
    optimizer, found = task.optimizer(network, rate), []
    for step in range(1, steps + 1):
        gradients = [_gradients(task, network, next(each)) for each in batches]
        for exchange in exchanges:
            exchange.step = step
        list(pool.map(lambda pair: pair[0].exchange(*pair[1]), zip(exchanges, gradients, strict=True)))
        for name, parameter in network.named_parameters():
            parameter.grad = gradients[0][1][name]
        optimizer.step()
        if step % task.evaluate_every == 0 or step == steps:
            found.append((step, task.evaluate(network)))
    return found


def _of_rounds(
    task: Task, method: Compression, rate: float, seed: int, exchanges: list[GradientExchange], batches: list[Iterator[Batch]], steps: int, pool: ThreadPoolExecutor,
) -> Curve:  # fmt: skip
    ranks = []
    for exchange in exchanges:
        torch.manual_seed(seed)
        network = task.build()
        rounds = local_steps(method, network, dict(network.named_parameters()), exchange)
        assert rounds is not None
        ranks.append(Rank(network, task.optimizer(network, rate), rounds))
    found, since = [], 0
    for step in range(1, steps + 1):
        for each, own in zip(ranks, batches, strict=True):
            each.optimizer.zero_grad()
            task.loss(each.network, next(own)).backward()
            each.optimizer.step()
            each.rounds.took_step()
        since += 1
        if ranks[0].rounds.ends(step) or step == steps:
            list(pool.map(lambda each, taken=since: each.rounds.finish(taken), ranks))
            since = 0
            found.append((step, task.evaluate(ranks[0].network)))
    return found


def _gradients(
    task: Task, network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One rank's gradients as DDP has them: one bucket, and views into it by name."""
    network.zero_grad()
    task.loss(network, batch).backward()
    named = dict(network.named_parameters())
    bucket = torch.cat([parameter.grad.reshape(-1) for parameter in named.values() if parameter.grad is not None])
    sizes = [parameter.numel() for parameter in named.values()]
    views = zip(named.items(), bucket.split(sizes), strict=True)
    return bucket, {name: part.view(parameter.shape) for (name, parameter), part in views}
