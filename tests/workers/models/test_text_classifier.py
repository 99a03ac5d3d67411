"""Classes by the mean of tokens' vectors."""

import torch

from headrace.api.train_job import ModelSource
from headrace_workers.models import build_network

SOURCE = ModelSource.model_validate({"builtin": "TextClassifier", "parameters": {"dimensions": 8, "hidden": 5}})


def test_padding_and_order_change_nothing() -> None:
    """A text means its tokens, however long the batch is; one without tokens has an answer too."""
    network = build_network(SOURCE, (6,), 3, 20)
    short = network(torch.tensor([[4, 7, 9]]))
    assert short.shape == (1, 3)
    torch.testing.assert_close(network(torch.tensor([[9, 4, 7, 0, 0, 0]])), short)
    assert network(torch.zeros(1, 6, dtype=torch.int64)).isfinite().all()


def test_padding_learns_nothing() -> None:
    """Its vector is zero and stays so."""
    torch.manual_seed(0)
    network = build_network(SOURCE, (4,), 3, 20)
    network(torch.tensor([[4, 0, 0, 0]])).sum().backward()
    gradient = dict(network.named_parameters())["embedding.weight"].grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [4]
