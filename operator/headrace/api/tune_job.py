"""TuneJob: a search around a TrainJob's spec for the best hyper-parameters and the best model."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from headrace.api.base import Edit, Model, OneOf, Rule, Seconds, setting
from headrace.api.job import RunPolicy
from headrace.api.pods import Resources
from headrace.api.train_job import Rollout, TrainJobSpec

AnyScalar = Annotated[JsonValue, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]


class Goal(StrEnum):
    """Which way is better."""

    MAXIMIZE = "Maximize"
    MINIMIZE = "Minimize"


class Objective(Model):
    """What the search improves."""

    metric: Annotated[str, Field(min_length=1, max_length=64, description="A metric of template.evaluation, or loss.")]
    goal: Annotated[Goal, Field(description="Which way is better.")] = Goal.MAXIMIZE


class RandomSearch(Model):
    """Independent draws."""


class GridSearch(Model):
    """Every combination of the choices."""


class Tpe(Model):
    """Tree-structured Parzen estimator (Bergstra et al., 2011)."""

    startup_trials: Annotated[int, Field(ge=1, le=10_000, description="Random trials before the model is used.")] = 10


class GaussianProcess(Model):
    """Bayesian optimisation with a Gaussian process."""


class CmaEs(Model):
    """Covariance matrix adaptation (Hansen, 2016)."""


class Genetic(Model):
    """A genetic algorithm (NSGA-II, Deb et al., 2002)."""

    population: Annotated[int, Field(ge=2, le=10_000, description="Individuals of a generation.")] = 20


class PopulationBased(Model):
    """Population-based training (Jaderberg et al., 2017)."""

    population: Annotated[int, Field(ge=2, le=1000, description="Trials that live side by side.")] = 8


class Algorithm(OneOf):
    """How the next trial is chosen: exactly one of these."""

    random: Annotated[RandomSearch | None, Field(description="Independent draws.")] = None
    grid: Annotated[GridSearch | None, Field(description="Every combination.")] = None
    tpe: Annotated[Tpe | None, Field(description="Tree-structured Parzen estimator.")] = None
    gaussian_process: Annotated[GaussianProcess | None, Field(description="Bayesian optimisation.")] = None
    cma_es: Annotated[CmaEs | None, Field(description="Covariance matrix adaptation.")] = None
    genetic: Annotated[Genetic | None, Field(description="A genetic algorithm.")] = None
    population_based: Annotated[PopulationBased | None, Field(description="Population-based training.")] = None


class Asha(Model):
    """Asynchronous successive halving (Li et al., 2020)."""

    grace_epochs: Annotated[int, Field(ge=1, le=100_000, description="Epochs that every trial gets.")] = 1
    reduction_factor: Annotated[int, Field(ge=2, le=16, description="One in this many goes on.")] = 3


class Hyperband(Model):
    """Hyperband (Li et al., 2018)."""

    reduction_factor: Annotated[int, Field(ge=2, le=16, description="One in this many goes on.")] = 3


class Median(Model):
    """Stops what is worse than the median of the earlier trials at the same epoch (Golovin et al., 2017)."""

    grace_epochs: Annotated[int, Field(ge=0, le=100_000, description="Epochs that every trial gets.")] = 1


class EarlyStopping(OneOf):
    """How hopeless trials are stopped: exactly one of these."""

    asha: Annotated[Asha | None, Field(description="Asynchronous successive halving.")] = None
    hyperband: Annotated[Hyperband | None, Field(description="Hyperband.")] = None
    median: Annotated[Median | None, Field(description="The median rule.")] = None


class Range(Model):
    """Real numbers between two bounds."""

    low: Annotated[float, Field(description="The smallest value.")]
    high: Annotated[float, Field(description="The largest value.")]
    rules = (Rule("self.low < self.high", "low must be less than high", lambda r: r.low < r.high),)


class LogRange(Model):
    """Positive numbers between two bounds, uniform in their logarithm."""

    low: Annotated[float, Field(gt=0.0, description="The smallest value.")]
    high: Annotated[float, Field(gt=0.0, description="The largest value.")]
    rules = (Rule("self.low < self.high", "low must be less than high", lambda r: r.low < r.high),)


class IntegerRange(Model):
    """Whole numbers between two bounds, both included."""

    low: Annotated[int, Field(ge=-(2**31), le=2**31 - 1, description="The smallest value.")]
    high: Annotated[int, Field(ge=-(2**31), le=2**31 - 1, description="The largest value.")]
    step: Annotated[int, Field(ge=1, le=2**31 - 1, description="The distance between two values.")] = 1
    rules = (Rule("self.low < self.high", "low must be less than high", lambda r: r.low < r.high),)


class Choice(Model):
    """Values without an order. An object of its own, because rules of the API server cannot see a list of any values."""

    values: Annotated[tuple[AnyScalar, ...], Field(min_length=1, max_length=1024, description="One of these.")]


class Condition(Model):
    """A dimension is searched only when another has a certain value."""

    path: Annotated[str, Field(min_length=1, max_length=256, description="The other dimension's path.")]
    equals: Annotated[AnyScalar, Field(description="The value that it must have.")]


class Dimension(Model):
    """One field of the template that the search varies."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[a-zA-Z][A-Za-z0-9]*(\.[a-zA-Z][A-Za-z0-9_]*)*$",
            description="The field, as a path in template.",
        ),
    ]
    uniform: Annotated[Range | None, Field(description="Real numbers.")] = None
    log_uniform: Annotated[LogRange | None, Field(description="Real numbers, uniform in their logarithm.")] = None
    integer: Annotated[IntegerRange | None, Field(description="Whole numbers.")] = None
    choice: Annotated[Choice | None, Field(description="One of some values.")] = None
    when: Annotated[
        Condition | None, Field(description="Search this only when another dimension has a certain value.")
    ] = None
    rules = (
        Rule(
            "[has(self.uniform), has(self.logUniform), has(self.integer), has(self.choice)].filter(x, x).size() == 1",
            "set exactly one of uniform, logUniform, integer, choice",
            lambda d: sum(x is not None for x in (d.uniform, d.log_uniform, d.integer, d.choice)) == 1,
        ),
    )


class Budget(Model):
    """When the search ends."""

    trials: Annotated[int, Field(ge=1, le=100_000, description="Trials in all.")] = 20
    parallel: Annotated[int, Field(ge=1, le=4096, description="Trials at once; the run has as many workers.")] = 1
    seconds: Annotated[Seconds | None, Field(ge=1, description="No trial starts after this long.")] = None


def _unique_paths(spec: Any) -> bool:
    paths = [dimension.path for dimension in spec.search]
    return len(paths) == len(set(paths))


def _grid_of_choices(spec: Any) -> bool:
    return spec.algorithm.grid is None or all(dimension.choice is not None for dimension in spec.search)


class TuneJobSpec(RunPolicy):
    """What a TuneJob searches, and how."""

    objective: Objective = setting("What the search improves.", edit=Edit.NEW_RUN)
    algorithm: Algorithm = setting("How the next trial is chosen.", edit=Edit.NEW_RUN, default=Algorithm(tpe=Tpe()))
    early_stopping: EarlyStopping | None = setting("How hopeless trials are stopped.", edit=Edit.NEW_RUN, default=None)
    search: tuple[Dimension, ...] = setting("What the search varies.", edit=Edit.NEW_RUN, min_length=1, max_length=64)
    budget: Budget = setting("When the search ends.", edit=Edit.NEW_RUN, default=Budget())
    template: TrainJobSpec = setting("The TrainJob's spec that every trial starts from.", edit=Edit.NEW_RUN)
    rollout: Rollout | None = setting("Where the best model is offered.", edit=Edit.IN_PLACE, default=None)
    stall_seconds: Seconds = setting(
        "A search that makes no progress for this long is restarted.", edit=Edit.IN_PLACE, default=900
    )
    seed: int = setting("Where every random choice starts.", edit=Edit.NEW_RUN, default=0, ge=0, le=2**31 - 1)
    rules = (
        Rule(
            "self.search.all(d, self.search.exists_one(e, e.path == d.path))",
            "search may name a path only once",
            _unique_paths,
        ),
        Rule(
            "!has(self.algorithm.grid) || self.search.all(d, has(d.choice))",
            "a grid needs a choice in every dimension of search",
            _grid_of_choices,
        ),
        Rule(
            "!has(self.template.rollout)",
            "write rollout beside template, not inside it",
            lambda s: s.template.rollout is None,
        ),
    )

    @property
    def worker_resources(self) -> Resources:
        """What one trial's worker asks for."""
        return self.template.workers.resources
