"""What the models of sequences share: pre-norm transformer blocks (Vaswani et al., 2017; Xiong et al., 2020).

Every weight is of a plain linear layer, so that adapters find them: query, key, value, projection, expand, contract.
"""

import math
from typing import Annotated

import torch
from pydantic import Field

from headrace.api.base import Model, Rule

DEVIATION = 0.02
"""Of the first weights, as in GPT-2 (Radford et al., 2019)."""


class TransformerParameters(Model):
    """`model.parameters` of the builtin transformers."""

    dimensions: Annotated[int, Field(ge=1, le=65_536, description="The length of a token's vector.")] = 128
    layers: Annotated[int, Field(ge=1, le=256, description="Blocks of attention and hidden layer.")] = 2
    heads: Annotated[int, Field(ge=1, le=1024, description="Heads of an attention; they divide the dimensions.")] = 4
    dropout: Annotated[float, Field(ge=0.0, lt=1.0, description="The share of activations dropped in training.")] = 0.0
    rules = (
        Rule(
            "self.dimensions % self.heads == 0",
            "dimensions must be a multiple of heads",
            lambda p: p.dimensions % p.heads == 0,
        ),
    )


class Embedding(torch.nn.Module):
    """Token ids (n, length) to vectors (n, length, dimensions): of the token, and of its place."""

    def __init__(self, parameters: TransformerParameters, length: int, vocabulary: int) -> None:
        """For at most `length` ids below `vocabulary`."""
        super().__init__()
        self.tokens = torch.nn.Embedding(vocabulary, parameters.dimensions)
        self.places = torch.nn.Embedding(length, parameters.dimensions)
        self.dropout = torch.nn.Dropout(parameters.dropout)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The sum of both vectors."""
        places = torch.arange(ids.shape[1], device=ids.device)
        vectors: torch.Tensor = self.dropout(self.tokens(ids) + self.places(places))
        return vectors


class Block(torch.nn.Module):
    """Vectors (n, length, dimensions) to vectors: each sees all that `seen` allows, or with `causal` those before it."""

    def __init__(self, parameters: TransformerParameters, *, causal: bool) -> None:
        """One of `parameters.layers`."""
        super().__init__()
        width = parameters.dimensions
        self.heads, self.causal, self.drop = parameters.heads, causal, parameters.dropout
        self.attention_norm = torch.nn.LayerNorm(width)
        self.query = torch.nn.Linear(width, width)
        self.key = torch.nn.Linear(width, width)
        self.value = torch.nn.Linear(width, width)
        self.projection = torch.nn.Linear(width, width)
        self.hidden_norm = torch.nn.LayerNorm(width)
        self.expand = torch.nn.Linear(width, 4 * width)
        self.contract = torch.nn.Linear(4 * width, width)
        self.dropout = torch.nn.Dropout(parameters.dropout)

    def forward(self, vectors: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        """`seen` (n, 1, 1, length) says which places are looked at."""
        normed = self.attention_norm(vectors)
        query, key, value = (
            each(normed).unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)
        )
        found = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, seen, dropout_p=self.drop if self.training else 0.0, is_causal=self.causal
        )
        vectors = vectors + self.dropout(self.projection(found.transpose(1, 2).flatten(2)))
        hidden = torch.nn.functional.gelu(self.expand(self.hidden_norm(vectors)))
        after: torch.Tensor = vectors + self.dropout(self.contract(hidden))
        return after


def start_small(network: torch.nn.Module, layers: int) -> None:
    """Draws the first weights: small, and what is added to the vectors smaller the more layers add to them."""
    for name, parameter in network.named_parameters():
        if parameter.dim() < 2:
            continue
        adds = name.endswith(("projection.weight", "contract.weight"))
        torch.nn.init.normal_(parameter, std=DEVIATION / math.sqrt(2 * layers) if adds else DEVIATION)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear) and module.bias is not None:
            torch.nn.init.zeros_(module.bias)
