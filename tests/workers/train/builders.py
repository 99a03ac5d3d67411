"""Specs and datasets in memory, for tests of the loop that need neither a table nor Ray."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

from headrace.api.train_job import TrainJobSpec
from headrace_workers.train.dataset import LoadedDataset, Split
from headrace_workers.train.group import Group
from headrace_workers.train.learner import Learned, Learner
from headrace_workers.train.losses import criterion_of
from tests.workers.train.threads import wires_of_threads

STEADY = {"builtin": "Perceptron", "parameters": {"hidden": 64, "layers": 2}}
"""A model without dropout: ranks that are threads draw from the same numbers."""
T = TypeVar("T")


def train_spec(**changes: Any) -> TrainJobSpec:
    """A small Perceptron with dropout; `changes` are fields of the spec as a manifest writes them."""
    return TrainJobSpec.model_validate(
        {
            "dataset": {"pipeline": "blobs"},
            "model": {"builtin": "Perceptron", "parameters": {"hidden": 32, "layers": 1, "dropout": 0.2}},
            "optimizer": {"learningRate": 0.01},
            "epochs": 3,
            "batchSize": 33,
            "evaluation": {"metrics": ["accuracy"], "everySteps": 5},
            "checkpoints": {"everySteps": 4},
            "seed": 3,
            **changes,
        }
    )


def blobs(records: int = 101, classes: int = 3) -> LoadedDataset:
    """Points around as many corners as there are classes; 101 records in batches of 33 leave a last batch of 2."""
    random = torch.Generator().manual_seed(1)

    def split(count: int) -> Split:
        targets = torch.arange(count) % classes
        return Split(
            torch.nn.functional.one_hot(targets, 8).float() + 0.4 * torch.randn(count, 8, generator=random), targets
        )

    return LoadedDataset(
        {"train": split(records), "validation": split(40)}, (8,), tuple(range(classes)), "features", "label"
    )


def learners(count: int, data: LoadedDataset | None = None, **changes: Any) -> list[Learner]:
    """Ranks that are threads; their model has no dropout unless `changes` name another."""
    data, spec = data or blobs(), train_spec(**{"model": STEADY, **changes})
    criterion = criterion_of(spec.loss, data)
    return [Learner(spec, data, criterion, Group(rank, count, wire=wire)) for rank, wire in enumerate(wires_of_threads(count))]  # fmt: skip


def together(ranks: list[Learner], act: Callable[[Learner], T]) -> list[T]:
    """What each rank's `act` returns, all at once."""
    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(act, ranks))


def learn(ranks: list[Learner], step: int, batch: torch.Tensor) -> list[Learned]:
    """One step of all ranks."""
    return together(ranks, lambda rank: rank.learn(step, batch))


def copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As they are now."""
    return {name: each.clone() for name, each in tensors.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether they have the same names and bits."""
    return one.keys() == other.keys() and all(torch.equal(each, other[name]) for name, each in one.items())
