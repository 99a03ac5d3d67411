"""A small model that writes text: a decoder as GPT-2 (Radford et al., 2019), whose output shares the tokens' vectors."""

import torch

from headrace_workers.models.transformer import Block, Embedding, TransformerParameters, start_small


class LanguageModel(torch.nn.Module):
    """Token ids (n, length) to (n, length, vocabulary): at each place the scores of what comes next."""

    def __init__(self, parameters: TransformerParameters, length: int, vocabulary: int) -> None:
        """For at most `length` ids below `vocabulary`."""
        super().__init__()
        self.embedding = Embedding(parameters, length, vocabulary)
        self.blocks = torch.nn.ModuleList(Block(parameters, causal=True) for _ in range(parameters.layers))
        self.norm = torch.nn.LayerNorm(parameters.dimensions)
        start_small(self, parameters.layers)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The scores; padding stands at the end, where no token sees it."""
        vectors = self.embedding(ids)
        for block in self.blocks:
            vectors = block(vectors)
        return torch.nn.functional.linear(self.norm(vectors), self.embedding.tokens.weight)


def language_model(parameters: TransformerParameters, length: int, vocabulary: int, outputs: int) -> torch.nn.Module:
    """Token ids (n, length) to (n, length, vocabulary)."""
    return LanguageModel(parameters, length, vocabulary)
