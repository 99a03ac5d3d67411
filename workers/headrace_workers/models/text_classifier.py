"""Classes of texts by the mean of their tokens' vectors, with one hidden layer: quick, and blind to the tokens' order.

After "Bag of Tricks for Efficient Text Classification" (Joulin et al., 2016).
"""

from typing import Annotated

import torch
from pydantic import Field

from headrace.api.base import Model
from headrace_workers.tokenizing import PADDING


class TextClassifierParameters(Model):
    """`model.parameters` of builtin TextClassifier."""

    dimensions: Annotated[int, Field(ge=1, le=65_536, description="The length of a token's vector.")] = 128
    hidden: Annotated[int, Field(ge=1, le=65_536, description="Units of the hidden layer.")] = 128
    dropout: Annotated[float, Field(ge=0.0, lt=1.0, description="The share of hidden units dropped in training.")] = 0.0


class TextClassifier(torch.nn.Module):
    """Token ids (n, length) to (n, outputs)."""

    def __init__(self, parameters: TextClassifierParameters, vocabulary: int, outputs: int) -> None:
        """For ids below `vocabulary`."""
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, parameters.dimensions, padding_idx=PADDING)
        self.hidden = torch.nn.Linear(parameters.dimensions, parameters.hidden)
        self.dropout = torch.nn.Dropout(parameters.dropout)
        self.output = torch.nn.Linear(parameters.hidden, outputs)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The classes' scores; a text without tokens has the mean zero."""
        # The vector of padding is zero.
        tokens = (ids != PADDING).sum(1, keepdim=True).clamp(min=1)
        mean = self.embedding(ids).sum(1) / tokens
        scores: torch.Tensor = self.output(self.dropout(torch.relu(self.hidden(mean))))
        return scores


def text_classifier(
    parameters: TextClassifierParameters, length: int, vocabulary: int, outputs: int
) -> torch.nn.Module:
    """Token ids (n, length) to (n, outputs)."""
    return TextClassifier(parameters, vocabulary, outputs)
