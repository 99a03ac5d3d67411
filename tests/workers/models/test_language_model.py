"""A decoder that says at each place what comes next."""

import torch

from headrace.api.train_job import ModelSource
from headrace_workers.models import build_network

SOURCE = ModelSource.model_validate({"builtin": "LanguageModel", "parameters": {"dimensions": 8, "heads": 2}})


def test_a_place_sees_itself_and_those_before() -> None:
    """What comes later, padding included, changes no score."""
    network = build_network(SOURCE, (5,), 20, 20).double()
    scores = network(torch.tensor([[4, 7, 9, 5, 6]]))
    assert scores.shape == (1, 5, 20)
    torch.testing.assert_close(network(torch.tensor([[4, 7, 9, 0, 0]]))[:, :3], scores[:, :3])
    assert not torch.allclose(network(torch.tensor([[8, 7, 9, 5, 6]]))[:, 3], scores[:, 3])


def test_tokens_have_one_vector_for_reading_and_writing() -> None:
    """The weights are saved once, and the first scores are nearly equal."""
    network = build_network(SOURCE, (5,), 20, 20)
    assert sum(tuple(each.shape) == (20, 8) for each in network.state_dict().values()) == 1
    assert network(torch.tensor([[4, 7, 9]])).softmax(2).max() < 0.1
