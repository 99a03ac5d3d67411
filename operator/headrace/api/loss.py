"""What training lowers."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Model, OneOf


class ClassWeights(StrEnum):
    """How classes of unequal size count."""

    NONE = "None"
    BALANCED = "Balanced"


class CrossEntropy(Model):
    """Cross-entropy over classes."""

    class_weights: Annotated[
        ClassWeights, Field(description="Balanced weighs each class by the inverse of its share.")
    ] = ClassWeights.NONE
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0, description="Label smoothing.")] = 0.0


class MeanSquaredError(Model):
    """The mean squared error of numbers."""


class NextToken(Model):
    """Cross-entropy over the vocabulary, of each token after those before it; the mean is over tokens, padding apart."""


class Loss(OneOf):
    """What training lowers: exactly one of these."""

    cross_entropy: Annotated[CrossEntropy | None, Field(description="For classes.")] = None
    mean_squared_error: Annotated[MeanSquaredError | None, Field(description="For numbers.")] = None
    next_token: Annotated[
        NextToken | None, Field(description="For models that write text; dataset.target is not looked at.")
    ] = None
