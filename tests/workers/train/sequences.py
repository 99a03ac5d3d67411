"""Sequences of token ids in memory, each of which says in part what comes next."""

import torch

from headrace_workers.train.dataset import LoadedDataset, Split

LENGTH, VOCABULARY = 8, 12
WRITER = {"builtin": "LanguageModel", "parameters": {"dimensions": 16, "layers": 2, "heads": 2}}
READER = {"builtin": "TextTransformer", "parameters": {"dimensions": 16, "layers": 1, "heads": 2}}
NEXT = {"model": WRITER, "loss": {"nextToken": {}}, "evaluation": {"metrics": ["perplexity"], "everySteps": 5}}


def sequences(records: int = 101) -> LoadedDataset:
    """Of uneven lengths: mostly the number after the one before, and the end padded; their own targets."""
    random = torch.Generator().manual_seed(2)

    def split(count: int) -> Split:
        steps = 1 + (torch.rand(count, LENGTH, generator=random) < 0.1)
        start = torch.randint(0, 8, (count, 1), generator=random)
        ids = 4 + (start + steps.cumsum(1)) % 8
        lengths = torch.randint(1, LENGTH + 1, (count, 1), generator=random)
        ids = torch.where(torch.arange(LENGTH) < lengths, ids, 0)
        return Split(ids, ids)

    return LoadedDataset(
        {"train": split(records), "validation": split(40)}, (LENGTH,), None, "tokens", "tokens", VOCABULARY
    )


def labelled() -> LoadedDataset:
    """The same, each with one of three classes: where it starts."""
    data = sequences()
    splits = {name: Split(each.inputs, each.inputs[:, 0] % 3) for name, each in data.splits.items()}
    return LoadedDataset(splits, (LENGTH,), (0, 1, 2), "tokens", "label", VOCABULARY)
