"""Classes by a transformer."""

import torch

from headrace.api.train_job import ModelSource
from headrace_workers.models import build_network

SOURCE = ModelSource.model_validate({"builtin": "TextTransformer", "parameters": {"dimensions": 8, "heads": 2}})


def test_padding_changes_nothing_and_order_does() -> None:
    """Padding is neither looked at nor counted; a text without tokens has an answer too."""
    network = build_network(SOURCE, (6,), 3, 20).double()
    short = network(torch.tensor([[4, 7, 9]]))
    assert short.shape == (1, 3)
    torch.testing.assert_close(network(torch.tensor([[4, 7, 9, 0, 0, 0]])), short)
    assert not torch.allclose(network(torch.tensor([[9, 7, 4]])), short)
    answers = network(torch.zeros(1, 6, dtype=torch.int64))
    answers.sum().backward()
    assert answers.isfinite().all()
    assert all(each.grad.isfinite().all() for each in network.parameters() if each.grad is not None)
