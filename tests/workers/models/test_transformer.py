"""Blocks of attention, and the parameters of the models made of them."""

import pytest
import torch

from headrace.api.train_job import ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.models import build_network
from headrace_workers.models.transformer import Block, TransformerParameters


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"dimensions": 10, "heads": 4}, "dimensions must be a multiple of heads"),
        ({"depth": 3}, "model.parameters.depth of TextTransformer.* dimensions, layers, heads, dropout"),
    ],
)
def test_parameters_that_make_no_network_are_named(parameters: dict[str, int], said: str) -> None:
    """With what the builtin takes."""
    source = ModelSource.model_validate({"builtin": "TextTransformer", "parameters": parameters})
    with pytest.raises(RunFault, match=said):
        build_network(source, (6,), 3, 20)


def test_dropout_is_of_training_alone() -> None:
    """In evaluation a block answers twice alike."""
    block, vectors = Block(TransformerParameters(dimensions=8, heads=2, dropout=0.5), causal=True), torch.rand(1, 4, 8)
    assert not torch.equal(block(vectors), block(vectors))
    block.eval()
    assert torch.equal(block(vectors), block(vectors))
