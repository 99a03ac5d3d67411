"""The order of dimensions, their conditions and what is drawn."""

import optuna
import pytest

from headrace_workers.faults import RunFault
from headrace_workers.tune.space import combinations, edges, in_dependency_order, sample
from tests.workers.tune.builders import MODEL, RATE, dimensions

pytestmark = pytest.mark.workers

HIDDEN = {"path": "model.parameters.hidden", "integer": {"low": 16, "high": 128, "step": 16}}
FOR_PERCEPTRON = {**HIDDEN, "when": {"path": "model.builtin", "equals": "Perceptron"}}


def draws(ordered, count=20):
    """What a seeded random study draws."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [sample(ordered, study.ask()) for _ in range(count)]


def test_a_condition_is_drawn_after_what_it_depends_on():
    """A dimension follows the one that its condition names, wherever the manifest puts it."""
    ordered = in_dependency_order(dimensions(FOR_PERCEPTRON, RATE, MODEL))
    assert [d.path for d in ordered] == ["optimizer.learningRate", "model.builtin", "model.parameters.hidden"]


def test_a_dimension_is_drawn_only_where_its_condition_holds():
    """hidden is chosen for every Perceptron and for no other model."""
    drawn = draws(in_dependency_order(dimensions(FOR_PERCEPTRON, MODEL)))
    assert {chosen["model.builtin"] for chosen in drawn} == {"Perceptron", "ImageClassifier"}
    assert all(("model.parameters.hidden" in chosen) == (chosen["model.builtin"] == "Perceptron") for chosen in drawn)


def test_a_condition_on_an_absent_dimension_does_not_hold():
    """What depends on a dimension that was not drawn is not drawn either."""
    depth = {
        "path": "model.parameters.depth",
        "choice": {"values": [1, 2]},
        "when": {"path": "model.parameters.hidden", "equals": 16},
    }
    drawn = draws(in_dependency_order(dimensions(depth, FOR_PERCEPTRON, MODEL)), 60)
    assert any("model.parameters.depth" in chosen for chosen in drawn)
    assert all(chosen["model.builtin"] == "Perceptron" for chosen in drawn if "model.parameters.depth" in chosen)


@pytest.mark.parametrize(
    ("wires", "words"),
    [
        pytest.param(
            [{**RATE, "when": {"path": "model.builtin", "equals": "Perceptron"}}], "is no dimension", id="dangling"
        ),
        pytest.param(
            [MODEL, {**HIDDEN, "when": {"path": "model.builtin", "equals": "Tree"}}], 'never "Tree"', id="never"
        ),
        pytest.param(
            [
                {**RATE, "when": {"path": "model.parameters.hidden", "equals": 16}},
                {**HIDDEN, "when": {"path": "optimizer.learningRate", "equals": 0.1}},
            ],
            "circle",
            id="circle",
        ),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(wires, words):
    """A dangling, impossible or circular condition is an InvalidSearch that names the dimension's place."""
    with pytest.raises(RunFault) as raised:
        in_dependency_order(dimensions(*wires))
    assert raised.value.reason == "InvalidSearch"
    assert "search[" in raised.value.message
    assert words in raised.value.message


def test_draws_stay_inside_their_bounds():
    """Real, logarithmic and whole numbers lie between low and high, whole ones on their steps."""
    real = {"path": "optimizer.momentum", "uniform": {"low": 0.1, "high": 0.9}}
    for chosen in draws(in_dependency_order(dimensions(RATE, HIDDEN, real)), 50):
        assert 1e-5 <= chosen["optimizer.learningRate"] <= 1e-1
        assert 0.1 <= chosen["optimizer.momentum"] <= 0.9
        assert chosen["model.parameters.hidden"] in range(16, 129, 16)


def test_choices_keep_their_types():
    """A list, null, true and 1 come back as what the manifest says."""
    drawn = draws(
        in_dependency_order(
            dimensions({"path": "model.parameters.x", "choice": {"values": [[64, 32], None, True, 1]}})
        ),
        40,
    )
    values = [chosen["model.parameters.x"] for chosen in drawn]
    assert {repr(value) for value in values} == {"[64, 32]", "None", "True", "1"}


def test_a_grid_counts_every_combination_once():
    """A dimension whose condition does not hold does not multiply the grid."""
    hidden = {**FOR_PERCEPTRON, "choice": {"values": [16, 32]}}
    del hidden["integer"]
    assert combinations(in_dependency_order(dimensions(MODEL, hidden))) == [
        {"model.builtin": "Perceptron", "model.parameters.hidden": 16},
        {"model.builtin": "Perceptron", "model.parameters.hidden": 32},
        {"model.builtin": "ImageClassifier"},
    ]


def test_edges_are_what_must_fit_the_template():
    """Of a range its ends, of a choice all."""
    rate, model = dimensions(RATE, MODEL)
    assert edges(rate) == (1e-5, 1e-1)
    assert edges(model) == ("Perceptron", "ImageClassifier")
