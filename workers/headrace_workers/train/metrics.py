"""What evaluation measures, over all ranks together. Counts travel, never predictions."""

from collections.abc import Callable, Iterable
from math import prod

import torch

from headrace.api.train_job import Metric
from headrace_workers.faults import RunFault
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.losses import Criterion, NumberLoss
from headrace_workers.train.next_token import NextTokenLoss

CHUNK_RECORDS = 1024
CHUNK_NUMBERS = 1 << 24
"""Numbers that are answered at once: a text has a vocabulary of them for each of its tokens."""
LARGEST_EXPONENT = 700.0
"""Of e, that is still a number."""


def require_defined(metrics: Iterable[Metric], criterion: Criterion, data: LoadedDataset) -> None:
    """RunFault if a metric has no meaning for the loss."""
    for metric in metrics:
        if metric == Metric.PERPLEXITY and not isinstance(criterion, NextTokenLoss):
            message = "metric perplexity is of models that write text; use it with loss nextToken, or remove it from evaluation.metrics"
            raise RunFault("MetricNotApplicable", message)
        if metric != Metric.LOSS and isinstance(criterion, NumberLoss):
            message = f"metric {metric} needs classes, but the loss treats column {data.target} as a number; write evaluation.metrics: [loss]"
            raise RunFault("MetricNotApplicable", message)


def evaluate(
    network: torch.nn.Module,
    split: Split,
    criterion: Criterion,
    metrics: Iterable[Metric],
    *,
    rank: int,
    world_size: int,
    add_up: Callable[[torch.Tensor], torch.Tensor],
    at_once: int = CHUNK_RECORDS,
) -> dict[str, float]:
    """The metrics on a split, loss always among them. Each rank takes every world_size-th record, so many at once; `add_up` sums over ranks."""
    at_once = min(at_once, max(1, CHUNK_NUMBERS // (criterion.outputs * prod(criterion.positions))))
    device = next(network.parameters()).device
    classes = criterion.outputs
    hits, guessed, actual = (torch.zeros(classes, dtype=torch.float64) for _ in range(3))
    sums = torch.zeros(2, dtype=torch.float64)
    was_training = network.training
    network.eval()
    with torch.no_grad():
        for start in range(rank, len(split), world_size * at_once):
            chosen = slice(start, start + world_size * at_once, world_size)
            targets = split.targets[chosen].to(device)
            answers = network(split.inputs[chosen].to(device))
            sums += torch.stack([criterion.sum(answers, targets).cpu().double(), criterion.weight(targets).double()])
            if guesses := criterion.guesses(answers, targets):
                predictions, true = guesses
                guessed += torch.bincount(predictions, minlength=classes).cpu()
                actual += torch.bincount(true, minlength=classes).cpu()
                hits += torch.bincount(true[predictions == true], minlength=classes).cpu()
    network.train(was_training)
    total = add_up(torch.cat([sums, hits, guessed, actual]))
    hits, guessed, actual = total[2:].split(classes)
    measured = {
        Metric.LOSS: lambda: total[0] / total[1],
        Metric.ACCURACY: lambda: hits.sum() / actual.sum(),
        Metric.F1: lambda: macro_f1(hits, guessed, actual),
        Metric.PERPLEXITY: lambda: (total[0] / total[1]).clamp(max=LARGEST_EXPONENT).exp(),
    }
    return {str(metric): float(measured[metric]()) for metric in sorted({Metric.LOSS, *metrics})}


def macro_f1(hits: torch.Tensor, guessed: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """The mean F1 over the classes that occur among the targets or the predictions; arguments are counts by class."""
    occurs = (guessed + actual) > 0
    return (2 * hits[occurs] / (guessed + actual)[occurs]).mean()
