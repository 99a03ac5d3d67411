"""A small convolutional network for images given as (height, width) or (channels, height, width)."""

from typing import Annotated

import torch
from pydantic import Field

from headrace.api.base import Model
from headrace_workers.faults import RunFault

POOLED_SIDE = 4


class ImageClassifierParameters(Model):
    """`model.parameters` of builtin ImageClassifier."""

    channels: Annotated[
        int, Field(ge=1, le=4096, description="Channels of the first convolution; the second has twice as many.")
    ] = 16
    hidden: Annotated[int, Field(ge=1, le=65_536, description="Units of the hidden layer after the convolutions.")] = (
        128
    )
    dropout: Annotated[float, Field(ge=0.0, lt=1.0, description="The share of hidden units dropped in training.")] = 0.0


def image_classifier(parameters: ImageClassifierParameters, shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
    """(n, *shape) to (n, outputs): two convolutions, pooling to 4 x 4 whatever the image's size, one hidden layer."""
    if len(shape) not in (2, 3):
        text = f"builtin ImageClassifier needs images of shape (h, w) or (c, h, w), the dataset's inputs have shape {shape}; use Perceptron"
        raise RunFault("InvalidModelParameters", text)
    channels = shape[0] if len(shape) == 3 else 1
    return torch.nn.Sequential(
        torch.nn.Flatten() if len(shape) == 2 else torch.nn.Identity(),
        torch.nn.Unflatten(1, (1, *shape)) if len(shape) == 2 else torch.nn.Identity(),
        torch.nn.Conv2d(channels, parameters.channels, kernel_size=3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(parameters.channels, 2 * parameters.channels, kernel_size=3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveMaxPool2d(POOLED_SIDE),
        torch.nn.Flatten(),
        torch.nn.Linear(2 * parameters.channels * POOLED_SIDE**2, parameters.hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(parameters.dropout),
        torch.nn.Linear(parameters.hidden, outputs),
    )
