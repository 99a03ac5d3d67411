"""Early stopping -> Optuna pruner: one function a choice of the API. A pruner's steps are whole epochs."""

from collections.abc import Callable
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from headrace.api.tune_job import EarlyStopping

MEDIAN_OF_TRIALS = 3
"""A median of fewer finished trials says too little to stop one by it."""


def pruner_for(early_stopping: EarlyStopping | None, epochs: int | None) -> BasePruner:
    """The pruner of a search; `epochs` is how many a whole trial takes, if the template says so."""
    if early_stopping is None:
        return NopPruner()
    return PRUNERS[early_stopping.chosen](early_stopping.value, epochs)


def _asha(asha: Any, _: int | None) -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=asha.grace_epochs, reduction_factor=asha.reduction_factor)


def _hyperband(hyperband: Any, epochs: int | None) -> BasePruner:
    # Without a number of epochs Optuna takes it from the first trial that ran to its end.
    return HyperbandPruner(min_resource=1, max_resource=epochs or "auto", reduction_factor=hyperband.reduction_factor)


def _median(median: Any, _: int | None) -> BasePruner:
    return MedianPruner(n_startup_trials=MEDIAN_OF_TRIALS, n_warmup_steps=median.grace_epochs)


PRUNERS: dict[str, Callable[[Any, int | None], BasePruner]] = {
    "asha": _asha,
    "hyperband": _hyperband,
    "median": _median,
}
