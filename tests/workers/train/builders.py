"""Specs and datasets in memory, for tests of the loop that need neither a table nor Ray."""

from typing import Any

import torch

from headrace.api.train_job import TrainJobSpec
from headrace_workers.train.dataset import LoadedDataset, Split


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
