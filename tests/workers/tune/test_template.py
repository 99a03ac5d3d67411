"""What a trial's choices make of the template."""

import pytest

from headrace_workers.faults import RunFault
from headrace_workers.tune.space import in_dependency_order
from headrace_workers.tune.template import apply, check
from tests.workers.tune.builders import MODEL, RATE, dimensions, template

pytestmark = pytest.mark.workers


def test_choices_are_set_by_their_paths():
    """Fields, enum values and free parameters are set, the rest of the template stays."""
    spec = apply(
        template(), {"optimizer.learningRate": 0.02, "model.builtin": "ImageClassifier", "model.parameters.hidden": 64}
    )
    assert (spec.optimizer.learning_rate, spec.model.builtin, spec.model.parameters) == (
        0.02,
        "ImageClassifier",
        {"hidden": 64},
    )
    assert spec.epochs == template().epochs


def test_choices_may_make_an_object_that_the_template_lacks():
    """Clipping and precision are searched like any field, and a fixed precision stays."""
    spec = apply(template(precision="BFloat16"), {"gradientClipping.maxNorm": 0.5})
    assert (spec.precision, spec.gradient_clipping.max_norm) == ("BFloat16", 0.5)
    assert apply(template(), {"precision": "Float16"}).precision == "Float16"


def test_the_template_stays_as_it_was():
    """Applying choices to a template with parameters of its own does not alter it."""
    original = template(model={"builtin": "Perceptron", "parameters": {"hidden": 8}})
    apply(original, {"model.parameters.hidden": 64})
    assert original.model.parameters == {"hidden": 8}


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        pytest.param(
            {"path": "optimiser.learningRate", "choice": {"values": [0.1]}}, "no field optimiser", id="unknown field"
        ),
        pytest.param(
            {"path": "optimizer.rate", "choice": {"values": [0.1]}}, "no field optimizer.rate", id="unknown inner field"
        ),
        pytest.param(
            {"path": "optimizer.learningRate.x", "choice": {"values": [0.1]}},
            "optimizer.learningRate",
            id="below a value",
        ),
        pytest.param(
            {"path": "optimizer.learningRate", "choice": {"values": [0.1, 1000]}},
            "less than or equal to 100",
            id="value too large",
        ),
        pytest.param({"path": "model.builtin", "choice": {"values": ["Tree"]}}, "model.builtin", id="no such model"),
        pytest.param(
            {"path": "workers.max", "choice": {"values": [2]}},
            "does not change what a trial learns",
            id="without effect",
        ),
        pytest.param(
            {"path": "dataset.version", "choice": {"values": ["1", "2"]}}, "same for every trial", id="pinned data"
        ),
        pytest.param(
            {"path": "microBatchSize", "choice": {"values": [8, 16]}}, "same for every trial", id="same result"
        ),
        pytest.param(
            {"path": "steps", "choice": {"values": [10]}}, "exactly one of epochs, steps", id="rule of the spec"
        ),
    ],
)
def test_a_dimension_that_does_not_fit_is_refused_before_any_trial(wire, words):
    """The fault is InvalidSearch, names search[i] and its path, and says why."""
    search = dimensions(RATE if not wire["path"].startswith("optimizer.learningRate") else MODEL, wire)
    with pytest.raises(RunFault) as raised:
        check(template(), in_dependency_order(search), search)
    assert raised.value.reason == "InvalidSearch"
    assert raised.value.message.startswith(f"search[1] ({wire['path']}): ")
    assert words in raised.value.message


def test_a_conditional_dimension_is_checked_together_with_its_condition():
    """A value that only fits what its condition chooses passes."""
    smoothing = {"path": "loss.crossEntropy.labelSmoothing", "uniform": {"low": 0.0, "high": 0.2}}
    search = dimensions(MODEL, {**smoothing, "when": {"path": "model.builtin", "equals": "Perceptron"}})
    check(template(), in_dependency_order(search), search)
