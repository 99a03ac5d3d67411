"""Classes of texts by a small transformer that sees a whole text at once."""

import torch

from headrace_workers.models.transformer import Block, Embedding, TransformerParameters, start_small
from headrace_workers.tokenizing import PADDING


class TextTransformer(torch.nn.Module):
    """Token ids (n, length) to (n, outputs)."""

    def __init__(self, parameters: TransformerParameters, length: int, vocabulary: int, outputs: int) -> None:
        """For at most `length` ids below `vocabulary`."""
        super().__init__()
        self.embedding = Embedding(parameters, length, vocabulary)
        self.blocks = torch.nn.ModuleList(Block(parameters, causal=False) for _ in range(parameters.layers))
        self.norm = torch.nn.LayerNorm(parameters.dimensions)
        self.output = torch.nn.Linear(parameters.dimensions, outputs)
        start_small(self, parameters.layers)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The classes' scores, from the mean of the vectors of all tokens; padding is not looked at."""
        real = ids != PADDING
        # A text without tokens has its first padding looked at: attention to nothing is no number.
        looked_at = real | (torch.arange(ids.shape[1], device=ids.device) == 0)
        vectors = self.embedding(ids)
        for block in self.blocks:
            vectors = block(vectors, looked_at[:, None, None, :])
        weights = looked_at.unsqueeze(2)
        mean = (self.norm(vectors) * weights).sum(1) / weights.sum(1)
        scores: torch.Tensor = self.output(mean)
        return scores


def text_transformer(parameters: TransformerParameters, length: int, vocabulary: int, outputs: int) -> torch.nn.Module:
    """Token ids (n, length) to (n, outputs)."""
    return TextTransformer(parameters, length, vocabulary, outputs)
