"""What each algorithm draws, and that the same seed draws it again."""

import math

import pytest

from headrace.api.tune_job import Algorithm
from headrace_workers.faults import RunFault
from headrace_workers.tune.samplers import SAMPLERS, sampler_for
from headrace_workers.tune.search import Search
from tests.workers.tune.builders import tune_spec
from tests.workers.tune.memory import memory_journal

pytestmark = pytest.mark.workers

ALGORITHMS = {
    "random": {},
    "tpe": {"startupTrials": 4},
    "gaussianProcess": {},
    "cmaEs": {},
    "genetic": {"population": 4},
}
SEARCH = [
    {"path": "optimizer.learningRate", "logUniform": {"low": 1e-5, "high": 1e-1}},
    {"path": "optimizer.momentum", "uniform": {"low": 0.0, "high": 0.9}},
]


def distance(chosen):
    """How far from the best: a learning rate of 0.01 and a momentum of 0.4."""
    return abs(chosen["optimizer.momentum"] - 0.4) / 0.9 + abs(math.log10(chosen["optimizer.learningRate"]) + 2) / 4


def searched(algorithm, trials, seed=7, cut=None):
    """What a search at one trial at a time draws; `cut` is after how many trials the head is lost once."""
    spec = tune_spec(algorithm=algorithm, search=SEARCH, budget={"trials": trials}, seed=seed)
    journal = memory_journal()
    search, drawn = Search(spec, journal, lambda: 0.0), []
    while record := search.next_trial():
        drawn.append(record.chosen)
        search.complete(record.number, -distance(record.chosen), {})
        if len(drawn) == cut:
            search = Search(spec, journal, lambda: 0.0)
    return drawn


def test_every_algorithm_of_the_api_is_here():
    """A choice added to the API without a sampler fails here."""
    assert set(SAMPLERS) == set(Algorithm.model_fields)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_same_seed_draws_the_same_and_another_seed_another(name):
    """A search is a function of its seed."""
    one, same, other = (searched({name: ALGORITHMS[name]}, 6, seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    assert len({chosen["optimizer.momentum"] for chosen in one}) >= 4, (
        "a genetic algorithm may copy a parent, the others repeat nothing"
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_head_that_comes_back_draws_what_the_lost_one_would_have(name):
    """Losing the head after three or five trials changes no later draw."""
    whole = searched({name: ALGORITHMS[name]}, 9)
    assert searched({name: ALGORITHMS[name]}, 9, cut=3) == whole
    assert searched({name: ALGORITHMS[name]}, 9, cut=5) == whole


def test_tpe_learns_where_random_does_not():
    """The last ten of 30 trials are on average twice as near to the best with TPE."""
    tpe, random = (searched(algorithm, 30)[-10:] for algorithm in ({"tpe": {}}, {"random": {}}))
    assert 2 * sum(map(distance, tpe)) < sum(map(distance, random))


def test_population_based_training_says_what_to_choose_instead():
    """It is refused as NotSupported."""
    with pytest.raises(RunFault, match="choose tpe") as raised:
        sampler_for(Algorithm.model_validate({"populationBased": {}}), 0, 0)
    assert raised.value.reason == "NotSupported"


def test_a_missing_package_is_named(monkeypatch):
    """cmaEs without cmaes is MissingPackage, before any trial."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RunFault, match="package cmaes") as raised:
        sampler_for(Algorithm.model_validate({"cmaEs": {}}), 0, 0)
    assert raised.value.reason == "MissingPackage"
