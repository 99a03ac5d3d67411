"""Loss curves of ranks in one process: every rank's gradient of the same weights, exchanged in threads by the real methods.

What the ranks of a cluster would reach after so many steps, without waiting for a slow network at each of them.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from learning import Task  # noqa: E402

from headrace.api.compression import Compression  # noqa: E402
from headrace_workers.train.compression.attach import exchange_of  # noqa: E402
from tests.workers.train.threads import wires_of_threads  # noqa: E402

Curve = list[tuple[int, float]]
"""Step and held-out loss."""


def curve(task: Task, method: Compression, rate: float, seed: int, ranks: int, steps: int | None = None) -> Curve:
    """Trains for the task's steps, or so many; the loss every few steps and at the end."""
    torch.manual_seed(seed)
    network = task.build()
    optimizer = task.optimizer(network, rate)
    exchanges = [exchange_of(method, ranks, rank, seed, wire) for rank, wire in enumerate(wires_of_threads(ranks))]
    batches = [task.batches(seed, rank) for rank in range(ranks)]
    last, found = steps or task.steps, []
    with ThreadPoolExecutor(ranks) as pool:
        for step in range(1, last + 1):
            gradients = [_gradients(task, network, next(each)) for each in batches]
            for exchange in exchanges:
                exchange.step = step
            list(pool.map(lambda pair: pair[0].exchange(*pair[1]), zip(exchanges, gradients, strict=True)))
            for name, parameter in network.named_parameters():
                parameter.grad = gradients[0][1][name]
            optimizer.step()
            if step % task.evaluate_every == 0 or step == last:
                found.append((step, task.evaluate(network)))
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
