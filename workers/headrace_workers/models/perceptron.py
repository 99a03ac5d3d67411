"""A multi-layer perceptron over inputs of any shape, flattened."""

from math import prod
from typing import Annotated

import torch
from pydantic import Field

from headrace.api.base import Model


class PerceptronParameters(Model):
    """`model.parameters` of builtin Perceptron."""

    hidden: Annotated[int, Field(ge=1, le=65_536, description="Units of a hidden layer.")] = 128
    layers: Annotated[int, Field(ge=0, le=64, description="Hidden layers; none makes it linear.")] = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0, description="The share of hidden units dropped in training.")] = 0.0


def perceptron(parameters: PerceptronParameters, shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
    """(n, *shape) to (n, outputs)."""
    modules: list[torch.nn.Module] = [torch.nn.Flatten()]
    width = prod(shape)
    for _ in range(parameters.layers):
        modules += [torch.nn.Linear(width, parameters.hidden), torch.nn.ReLU()]
        if parameters.dropout:
            modules.append(torch.nn.Dropout(parameters.dropout))
        width = parameters.hidden
    return torch.nn.Sequential(*modules, torch.nn.Linear(width, outputs))
