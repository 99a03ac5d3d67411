"""TrainJob: a model, a dataset, how many workers, how gradients travel."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from headrace.api.base import EXACTLY_ONE, Edit, FreeObject, Model, Name, OneOf, Rule, Seconds, Uri, setting
from headrace.api.compression import Compression, Uncompressed
from headrace.api.credentials import NO_CREDENTIALS
from headrace.api.job import Checkpoints, Recovery, RunPolicy
from headrace.api.loss import CrossEntropy, Loss
from headrace.api.optimizer import GradientClipping, Optimizer
from headrace.api.pods import Workers
from headrace.api.recurrence import Trigger
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
            description="The input column; absent, what the pipeline made of text, sound or images, or image, features, embedding or text, whichever is there.",
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
    LANGUAGE_MODEL = "LanguageModel"


FUNCTION_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


class ModelSource(Model):
    """The model: one that ships with Headrace, or the user's own."""

    builtin: Annotated[Builtin | None, Field(description="A model that ships with Headrace.")] = None
    module: Annotated[
        str | None,
        Field(
            max_length=256,
            pattern=FUNCTION_PATTERN,
            description="package.module:function that returns a torch module, in the image or on PYTHONPATH.",
        ),
    ] = None
    parameters: Annotated[FreeObject, Field(description="Keyword arguments for the model.")] = {}
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.builtin) != has(self.module)",
            "set exactly one of builtin, module",
            lambda m: (m.builtin is None) != (m.module is None),
        ),
    )


PARAMETER_PATTERN = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$"

ParameterPrefix = Annotated[str, Field(min_length=1, max_length=256, pattern=PARAMETER_PATTERN)]
"""A parameter's name, or the name of a module and so of all parameters in it: 4, or encoder.layers.0."""

SOURCES = ("uri", "endpoint", "job", "tuneJob")


class WeightsSource(Model):
    """Weights that were learnt before: exactly one of uri, endpoint, job, tuneJob. A run pins the version it starts with."""

    uri: Annotated[
        Uri | None,
        Field(description="A model version's folder, or a .safetensors file, or a folder of such files."),
    ] = None
    endpoint: Annotated[
        Name | None, Field(description="The InferenceEndpoint whose stable version it is when the run starts.")
    ] = None
    job: Annotated[Name | None, Field(description="The TrainJob that made them.")] = None
    tune_job: Annotated[Name | None, Field(description="The TuneJob whose best trial made them.")] = None
    except_: Annotated[
        tuple[ParameterPrefix, ...],
        Field(
            alias="except",
            max_length=64,
            description="Parameters, or modules of them, that start anew: the last layer, say, where the classes are others.",
        ),
    ] = ()
    rules = (
        Rule(
            f"[{', '.join(f'has(self.{name})' for name in SOURCES)}].filter(x, x).size() == 1",
            f"{EXACTLY_ONE} {', '.join(SOURCES)}",
            lambda s: sum(each is not None for each in (s.uri, s.endpoint, s.job, s.tune_job)) == 1,
        ),
        NO_CREDENTIALS,
    )


class Lora(Model):
    """Low-rank adapters beside weights that stay as they are (LoRA, Hu et al., 2021); the package peft makes them."""

    rank: Annotated[int, Field(ge=1, le=4096, description="The rank of an adapter.")] = 8
    alpha: Annotated[
        float, Field(gt=0.0, le=65_536.0, description="What an adapter adds is scaled by alpha / rank.")
    ] = 16.0
    targets: Annotated[
        tuple[ParameterPrefix, ...],
        Field(
            max_length=64,
            description="The modules that get one, by name or by the end of their names: query, or layers.0.query; empty, every linear layer.",
        ),
    ] = ()


class StartingModel(ModelSource):
    """The model to train: one that ships with Headrace or the user's own, with new weights or with given ones."""

    parameters: Annotated[
        FreeObject,
        Field(
            description="Keyword arguments for the model; without builtin and module they are laid over those of the version in from."
        ),
    ] = {}
    from_: Annotated[
        WeightsSource | None,
        Field(
            alias="from",
            description="Weights to start with. Where they are a model version, builtin and module may be left out: it says what it is.",
        ),
    ] = None
    freeze: Annotated[
        tuple[ParameterPrefix, ...],
        Field(max_length=64, description="Parameters, or modules of them, that are not trained."),
    ] = ()
    lora: Annotated[
        Lora | None,
        Field(
            description="Trains adapters, and what from.except starts anew; the version that is made has them merged."
        ),
    ] = None
    rules = (
        Rule(
            "has(self.from) ? !(has(self.builtin) && has(self.module)) : has(self.builtin) != has(self.module)",
            f"{EXACTLY_ONE} builtin, module",
            lambda m: (m.builtin is not None) + (m.module is not None) in ((0, 1) if m.from_ else (1,)),
        ),
        Rule(
            "(!has(self.lora) && size(self.freeze) == 0) || has(self.from) || has(self.module)",
            "lora and freeze keep weights as they are: set from, or a module that brings its own",
            lambda m: (m.lora is None and not m.freeze) or m.from_ is not None or m.module is not None,
        ),
        Rule(
            "!has(self.lora) || size(self.freeze) == 0",
            "lora trains its adapters alone; leave out freeze",
            lambda m: m.lora is None or not m.freeze,
        ),
    )

    @property
    def source(self) -> ModelSource:
        """What rebuilds the network, whatever it started with."""
        return ModelSource(builtin=self.builtin, module=self.module, parameters=self.parameters)


class OwnLoop(Model):
    """The user's own training loop."""

    module: Annotated[
        str,
        Field(
            max_length=256,
            pattern=FUNCTION_PATTERN,
            description="package.module:function that takes a run and trains: it goes through run.batches(), and calls "
            "run.backward(loss) and run.step() for each. In the image or on PYTHONPATH.",
        ),
    ]
    parameters: Annotated[FreeObject, Field(description="Keyword arguments for the function.")] = {}


class Precision(StrEnum):
    """The type of number that the network computes in."""

    FLOAT32 = "Float32"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


class ActivationCheckpointing(Model):
    """Which activations are computed again in the backward pass."""

    modules: Annotated[
        tuple[ParameterPrefix, ...],
        Field(
            min_length=1,
            max_length=64,
            description="Modules that keep their inputs alone: blocks.0, or blocks for each member of a list of modules. "
            "What is inside them is computed twice, and takes memory one module at a time. Not for modules with batch "
            "normalisation, which would count each batch twice.",
        ),
    ]


class Metric(StrEnum):
    """What evaluation measures."""

    ACCURACY = "accuracy"
    F1 = "f1"
    LOSS = "loss"
    PERPLEXITY = "perplexity"


class Evaluation(Model):
    """What is measured, on what, how often."""

    split: Annotated[str, Field(pattern="^(train|validation)$", description="The split measured on.")] = "validation"
    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            min_length=1,
            max_length=16,
            description="What is measured; loss always is. With nextToken each token is a prediction, and perplexity is e to the loss.",
        ),
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


class Stragglers(Model):
    """When a worker counts as one that holds the others up."""

    factor: Annotated[
        float,
        Field(
            ge=1.1,
            le=100.0,
            description="A worker straggles that is busy with a step for more than this many times the workers' median; of two, the faster one's. What it computes and encodes counts, on a GPU by the GPU's clock, and not what it waits for others or the network. The condition Straggling names it. Raise the factor where workers are meant to be unequal. Where Ray Train forms the group (the condition Elastic is False) nothing is measured.",
        ),
    ] = 1.5


class Divergence(Model):
    """What counts as diverged: a loss that is not finite does in any case."""

    spike_factor: Annotated[
        float | None,
        Field(
            gt=1.0,
            le=1_000_000.0,
            description="The loss has diverged, too, when its mean over ten steps is more than so many times the median of these means over the 200 steps before; absent, only a loss that is not finite has.",
        ),
    ] = None


class Fail(Divergence):
    """The run fails."""


class RollBack(Divergence):
    """Training goes back to the newest good checkpoint, or to its start, and on from there with a smaller learning rate."""

    learning_rate_factor: Annotated[
        float, Field(ge=0.001, lt=1.0, description="Each roll-back multiplies the learning rate by it.")
    ] = 0.5
    times: Annotated[
        int, Field(ge=1, le=100, description="Roll-backs of a run, restarts included; the next divergence fails it.")
    ] = 3


class OnDivergence(OneOf):
    """What follows when the training loss diverges: exactly one of these."""

    fail: Annotated[Fail | None, Field(description="The run fails.")] = None
    roll_back: Annotated[
        RollBack | None,
        Field(
            description="All workers go back to the newest good checkpoint, or to the start where there is none, and take the same records again with a smaller learning rate."
        ),
    ] = None


class TrainRecovery(Recovery):
    """What happens when a training is disturbed."""

    on_divergence: Annotated[
        OnDivergence,
        Field(description="What follows when the training loss diverges; an edit counts from the next attempt on."),
    ] = OnDivergence(fail=Fail())


class Rollout(Model):
    """Where a finished model is offered."""

    endpoint: Annotated[Name, Field(description="The InferenceEndpoint that may take it.")]


class TrainJobSpec(RunPolicy):
    """What a TrainJob learns, and how."""

    recovery: TrainRecovery = setting(
        "How the run recovers from failures and from a loss that diverges.", edit=Edit.IN_PLACE, default=TrainRecovery()
    )
    dataset: Dataset = setting("The data.", edit=Edit.NEW_RUN)
    model: StartingModel = setting("The model.", edit=Edit.NEW_RUN)
    loop: OwnLoop | None = setting(
        "A training loop of your own; absent, each batch goes through the model and loss says how good the answers are. "
        "With a loop, loss is for evaluation alone.",
        edit=Edit.NEW_RUN,
        default=None,
    )
    optimizer: Optimizer = setting("How weights follow gradients.", edit=Edit.NEW_RUN, default=Optimizer())
    loss: Loss = setting("What training lowers.", edit=Edit.NEW_RUN, default=Loss(cross_entropy=CrossEntropy()))
    epochs: int | None = setting("Passes over the training split.", edit=Edit.NEW_RUN, default=None, ge=1, le=1_000_000)
    steps: int | None = setting("Optimizer steps.", edit=Edit.NEW_RUN, default=None, ge=1, le=1_000_000_000)
    batch_size: int = setting(
        "Records in a step, over all workers.", edit=Edit.NEW_RUN, default=64, ge=1, le=10_000_000
    )
    micro_batch_size: int | None = setting(
        "Most records that go through the network at once on a worker, to bound its memory; absent, a worker's whole share. "
        "A step's result is the same but for rounding, dropout's draws and batch normalisation.",
        edit=Edit.NEW_RUN,
        default=None,
        ge=1,
        le=10_000_000,
    )
    activation_checkpointing: ActivationCheckpointing | None = setting(
        "Which activations are not kept for the backward pass; absent, all are kept. The result is the same.",
        edit=Edit.NEW_RUN,
        default=None,
    )
    precision: Precision = setting(
        "What the network computes in; parameters, optimizer and the gradients that are exchanged stay Float32. "
        "Float16 scales the loss, and skips a step whose gradients are not finite.",
        edit=Edit.NEW_RUN,
        default=Precision.FLOAT32,
    )
    compile: bool = setting(
        "Whether torch.compile makes one of many operations first, which takes a minute or more and a C++ compiler in the "
        "workers' image (on a GPU a C compiler).",
        edit=Edit.NEW_RUN,
        default=False,
    )
    gradient_clipping: GradientClipping | None = setting(
        "How long a gradient may be; absent, as long as it is.", edit=Edit.NEW_RUN, default=None
    )
    evaluation: Evaluation = setting("What is measured.", edit=Edit.NEW_RUN, default=Evaluation())
    parallelism: Parallelism = setting("How the work is spread.", edit=Edit.NEW_RUN, default=Parallelism())
    compression: Compression = setting(
        "How gradients travel.", edit=Edit.NEW_RUN, default=Compression(none=Uncompressed())
    )
    workers: Workers = setting("How many workers train.", edit=Edit.IN_PLACE, default=Workers())
    checkpoints: Checkpoints = setting("What is saved, how often.", edit=Edit.IMMUTABLE, default=Checkpoints())
    trigger: Trigger | None = setting(
        "What makes the job run again by itself once a run has finished, as dataset.version Latest is then; absent, only an edit does.",
        edit=Edit.IN_PLACE,
        default=None,
    )
    rollout: Rollout | None = setting("Where the finished model is offered.", edit=Edit.IN_PLACE, default=None)
    tracking: Tracking | None = setting(
        "Where else a run is tracked: its curve, parameters and lineage.", edit=Edit.NEW_RUN, default=None
    )
    stall_seconds: Seconds = setting(
        "A run that makes no progress for this long is restarted.", edit=Edit.IN_PLACE, default=900
    )
    stragglers: Stragglers = setting(
        "When a worker counts as one that holds the others up.", edit=Edit.NEXT_ATTEMPT, default=Stragglers()
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
        Rule(
            "!has(self.model.builtin) || (self.model.builtin == 'LanguageModel') == has(self.loss.nextToken)",
            "builtin LanguageModel and loss nextToken go together: set both, or neither",
            lambda s: (
                s.model.builtin is None
                or (s.model.builtin == Builtin.LANGUAGE_MODEL) == (s.loss.next_token is not None)
            ),
        ),
        Rule(
            "has(self.loss.nextToken) || !self.evaluation.metrics.exists(m, m == 'perplexity')",
            "metric perplexity needs loss nextToken",
            lambda s: s.loss.next_token is not None or Metric.PERPLEXITY not in s.evaluation.metrics,
        ),
    )
