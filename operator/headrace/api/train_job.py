"""TrainJob: a model, a dataset, how many workers, how gradients travel."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from headrace.api.base import Edit, FreeObject, Model, Name, OneOf, Rule, Seconds, Uri, setting
from headrace.api.compression import Compression, Uncompressed
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.job import Checkpoints, RunPolicy
from headrace.api.pods import Workers
from headrace.api.tracking import Tracking


class DatasetTable(Model):
    """A table that no pipeline of this namespace made."""

    uri: Annotated[Uri, Field(description="The Delta table's folder.")]
    version: Annotated[
        int | None, Field(ge=0, description="The table's version; absent, the newest when the run starts.")
    ] = None
    rules = (NO_CREDENTIALS,)


class Dataset(Model):
    """The data a run learns from; a run pins the version it started with."""

    pipeline: Annotated[Name | None, Field(description="The DataPipeline whose table it is.")] = None
    table: Annotated[DatasetTable | None, Field(description="A table by its address.")] = None
    version: Annotated[
        str, Field(pattern="^(Latest|[0-9]{1,9})$", description="A version of the pipeline's table, or Latest.")
    ] = "Latest"
    features: Annotated[
        str | None,
        Field(
            max_length=128,
            description="The input column; absent, image, features, embedding or text, whichever is there.",
        ),
    ] = None
    target: Annotated[str, Field(min_length=1, max_length=128, description="The column to predict.")] = "label"
    rules = (
        Rule(
            "has(self.pipeline) != has(self.table)",
            "set exactly one of pipeline, table",
            lambda d: (d.pipeline is None) != (d.table is None),
        ),
    )


class Builtin(StrEnum):
    """Models that ship with Headrace."""

    PERCEPTRON = "Perceptron"
    IMAGE_CLASSIFIER = "ImageClassifier"
    TEXT_CLASSIFIER = "TextClassifier"
    TEXT_TRANSFORMER = "TextTransformer"


class ModelSource(Model):
    """The model: one that ships with Headrace, or the user's own."""

    builtin: Annotated[Builtin | None, Field(description="A model that ships with Headrace.")] = None
    module: Annotated[
        str | None,
        Field(
            max_length=256,
            pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
            description="package.module:function that returns a torch module, in the image or on PYTHONPATH.",
        ),
    ] = None
    parameters: Annotated[FreeObject, Field(description="Keyword arguments for the model.")] = {}
    rules = (
        Rule(
            "has(self.builtin) != has(self.module)",
            "set exactly one of builtin, module",
            lambda m: (m.builtin is None) != (m.module is None),
        ),
    )


class OptimizerName(StrEnum):
    """Optimizers of torch."""

    SGD = "SGD"
    ADAM = "Adam"
    ADAMW = "AdamW"


class Optimizer(Model):
    """How weights follow gradients."""

    name: Annotated[OptimizerName, Field(description="The optimizer.")] = OptimizerName.ADAMW
    learning_rate: Annotated[float, Field(gt=0.0, le=100.0, description="The learning rate.")] = 0.001
    weight_decay: Annotated[float, Field(ge=0.0, le=100.0, description="The weight decay.")] = 0.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0, description="The momentum of SGD.")] = 0.0


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


class Loss(OneOf):
    """What training lowers: exactly one of these."""

    cross_entropy: Annotated[CrossEntropy | None, Field(description="For classes.")] = None
    mean_squared_error: Annotated[MeanSquaredError | None, Field(description="For numbers.")] = None


class Metric(StrEnum):
    """What evaluation measures."""

    ACCURACY = "accuracy"
    F1 = "f1"
    LOSS = "loss"


class Evaluation(Model):
    """What is measured, on what, how often."""

    split: Annotated[str, Field(pattern="^(train|validation)$", description="The split measured on.")] = "validation"
    metrics: Annotated[
        tuple[Metric, ...], Field(min_length=1, max_length=16, description="What is measured; loss always is.")
    ] = (Metric.ACCURACY,)
    every_steps: Annotated[
        int, Field(ge=1, le=10_000_000, description="Steps between two evaluations; the end is always measured.")
    ] = 200


class Strategy(StrEnum):
    """How a model and its data are spread over workers."""

    DATA_PARALLEL = "DataParallel"
    FULLY_SHARDED = "FullySharded"
    TENSOR = "Tensor"
    PIPELINE = "Pipeline"


class Parallelism(Model):
    """How the work is spread."""

    strategy: Annotated[
        Strategy, Field(description="DataParallel copies the model to every worker; the others split it.")
    ] = Strategy.DATA_PARALLEL


class Rollout(Model):
    """Where a finished model is offered."""

    endpoint: Annotated[Name, Field(description="The InferenceEndpoint that may take it.")]


class TrainJobSpec(RunPolicy):
    """What a TrainJob learns, and how."""

    dataset: Dataset = setting("The data.", edit=Edit.NEW_RUN)
    model: ModelSource = setting("The model.", edit=Edit.NEW_RUN)
    optimizer: Optimizer = setting("How weights follow gradients.", edit=Edit.NEW_RUN, default=Optimizer())
    loss: Loss = setting("What training lowers.", edit=Edit.NEW_RUN, default=Loss(cross_entropy=CrossEntropy()))
    epochs: int | None = setting("Passes over the training split.", edit=Edit.NEW_RUN, default=None, ge=1, le=1_000_000)
    steps: int | None = setting("Optimizer steps.", edit=Edit.NEW_RUN, default=None, ge=1, le=1_000_000_000)
    batch_size: int = setting(
        "Records in a step, over all workers.", edit=Edit.NEW_RUN, default=64, ge=1, le=10_000_000
    )
    evaluation: Evaluation = setting("What is measured.", edit=Edit.NEW_RUN, default=Evaluation())
    parallelism: Parallelism = setting("How the work is spread.", edit=Edit.NEW_RUN, default=Parallelism())
    compression: Compression = setting(
        "How gradients travel.", edit=Edit.NEW_RUN, default=Compression(none=Uncompressed())
    )
    workers: Workers = setting("How many workers train.", edit=Edit.IN_PLACE, default=Workers())
    checkpoints: Checkpoints = setting("What is saved, how often.", edit=Edit.IMMUTABLE, default=Checkpoints())
    rollout: Rollout | None = setting("Where the finished model is offered.", edit=Edit.IN_PLACE, default=None)
    tracking: Tracking | None = setting(
        "Where else a run is tracked: its curve, parameters and lineage.", edit=Edit.NEW_RUN, default=None
    )
    stall_seconds: Seconds = setting(
        "A run that makes no progress for this long is restarted.", edit=Edit.IN_PLACE, default=900
    )
    seed: int = setting("Where every random choice starts.", edit=Edit.NEW_RUN, default=0, ge=0, le=2**31 - 1)
    rules = (
        Rule(
            "has(self.epochs) != has(self.steps)",
            "set exactly one of epochs, steps",
            lambda s: (s.epochs is None) != (s.steps is None),
        ),
        Rule(
            "self.batchSize >= self.workers.max",
            "batchSize must be at least workers.max, so that every worker has a record",
            lambda s: s.batch_size >= s.workers.max,
        ),
    )
