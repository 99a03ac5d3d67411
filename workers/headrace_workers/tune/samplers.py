"""Algorithm -> Optuna sampler: one function a choice of the API.

A sampler is made anew for every trial from the search's seed and the trial's number. What a trial draws is then a
function of these and of the trials that have finished, so a head that comes back draws what the lost one would have:
random search, the grid and the start of TPE are the same however many trials run at once; model-based draws are the
same at one trial at a time.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from headrace.api.tune_job import Algorithm
from headrace_workers.faults import RunFault


def sampler_for(algorithm: Algorithm, seed: int, number: int) -> BaseSampler:
    """The sampler that draws trial `number`; RunFault where the algorithm cannot run here."""
    draw_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[algorithm.chosen](algorithm.value, draw_seed)


class SortedGenetic(NSGAIISampler):
    """NSGA-II whose parents are always in the order of their trials.

    Optuna's own have one order when they are selected and another once they are cached, which a restart would show.
    """

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by number."""
        return sorted(super().select_parent(study, generation), key=lambda trial: trial.number)


def _cma_es(_: Any, seed: int) -> BaseSampler:
    if importlib.util.find_spec("cmaes") is None:
        message = "algorithm.cmaEs needs the package cmaes, which the workers' image lacks; add it, or choose tpe"
        raise RunFault("MissingPackage", message)
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _population_based(_: Any, __: int) -> BaseSampler:
    message = "algorithm.populationBased cannot be run yet; choose tpe with earlyStopping.asha, its nearest relative"
    raise RunFault("NotSupported", message)


SAMPLERS: dict[str, Callable[[Any, int], BaseSampler]] = {
    "random": lambda _, seed: RandomSampler(seed=seed),
    # The grid's combinations are given to each trial by number; its sampler has nothing left to draw.
    "grid": lambda _, seed: RandomSampler(seed=seed),
    "tpe": lambda tpe, seed: TPESampler(n_startup_trials=tpe.startup_trials, constant_liar=True, seed=seed),
    "gaussian_process": lambda _, seed: GPSampler(seed=seed, warn_independent_sampling=False),
    "cma_es": _cma_es,
    "genetic": lambda genetic, seed: SortedGenetic(population_size=genetic.population, seed=seed),
    "population_based": _population_based,
}
