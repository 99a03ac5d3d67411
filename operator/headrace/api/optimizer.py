"""How weights follow gradients: the optimizer, its learning rate from step to step, and how long a gradient may be."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Model


class OptimizerName(StrEnum):
    """Optimizers of torch."""

    SGD = "SGD"
    ADAM = "Adam"
    ADAMW = "AdamW"


class Decay(StrEnum):
    """How the learning rate falls."""

    NONE = "None"
    LINEAR = "Linear"
    COSINE = "Cosine"


class Schedule(Model):
    """How the learning rate changes from step to step."""

    warmup_steps: Annotated[
        int, Field(ge=0, le=1_000_000_000, description="Steps in which it grows evenly to its full size.")
    ] = 0
    decay: Annotated[
        Decay, Field(description="How it falls from there to the last step: not at all, evenly, or as half a cosine.")
    ] = Decay.COSINE
    final_fraction: Annotated[
        float, Field(ge=0.0, le=1.0, description="What is left of it at the last step, as a part of its full size.")
    ] = 0.0


class Optimizer(Model):
    """How weights follow gradients."""

    name: Annotated[OptimizerName, Field(description="The optimizer.")] = OptimizerName.ADAMW
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0, description="The learning rate.")] = 0.001
    schedule: Annotated[
        Schedule | None,
        Field(description="How the learning rate changes from step to step; absent, it stays as it is."),
    ] = None
    weight_decay: Annotated[float, Field(ge=0.0, le=100.0, description="The weight decay.")] = 0.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0, description="The momentum of SGD.")] = 0.0


class GradientClipping(Model):
    """A bound on how far one step goes."""

    max_norm: Annotated[
        float,
        Field(
            gt=0.0,
            le=1e9,
            description="The gradient, averaged over the workers, is scaled down to this Euclidean norm over all parameters. "
            "With diLoCo and sparseLoCo it is each worker's own gradient; with topK each worker's part of the average, "
            "to maxNorm / sqrt(workers).",
        ),
    ] = 1.0
