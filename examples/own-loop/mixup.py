"""A training loop of one's own: each step learns from blends of two records (mixup, Zhang et al., 2018)."""

import torch
from torch.nn.functional import cross_entropy

from headrace_workers.train.own_loop import Run


def train(run: Run, *, alpha: float = 0.2) -> None:
    """Learns from `a` times one record and `1 - a` times another, where a is drawn from Beta(alpha, alpha)."""
    blends = torch.distributions.Beta(alpha, alpha)
    for batch in run.batches():
        a = float(blends.sample())
        others = torch.randperm(len(batch.inputs), device=batch.inputs.device)
        answers = run.network(a * batch.inputs + (1 - a) * batch.inputs[others])
        run.backward(
            a * cross_entropy(answers, batch.targets) + (1 - a) * cross_entropy(answers, batch.targets[others])
        )
        run.step()
