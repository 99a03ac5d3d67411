"""Networks: those that ship, and the faults of those that do not."""

import pytest
import torch

from headrace.api.train_job import ModelSource
from headrace_workers.faults import RunFault
from headrace_workers.models import build_network
from headrace_workers.train.guarded import Guarded

HERE = "tests.workers.train.user_models"


def source(**fields: object) -> ModelSource:
    return ModelSource.model_validate(fields)


@pytest.mark.parametrize("shape", [(8, 8), (3, 32, 20), (1, 5, 5)])
@pytest.mark.parametrize("builtin", ["Perceptron", "ImageClassifier"])
def test_builtins_answer_one_number_a_class(builtin: str, shape: tuple[int, ...]) -> None:
    """Each builtin takes images of any size, with or without channels."""
    network = build_network(source(builtin=builtin, parameters={"dropout": 0.1}), shape, 10)
    assert network(torch.rand(4, *shape)).shape == (4, 10)


@pytest.mark.parametrize(
    ("fields", "reason", "says"),
    [
        ({"builtin": "TextClassifier"}, "InvalidModelParameters", "takes token ids.* put a tokenize step"),
        (
            {"builtin": "Perceptron", "parameters": {"hiden": 3}},
            "InvalidModelParameters",
            "parameters.hiden .* hidden, layers, dropout",
        ),
        ({"builtin": "Perceptron", "parameters": {"dropout": 2}}, "InvalidModelParameters", "less than 1"),
        ({"module": "no_such_thing:build"}, "ModuleNotFound", "no module no_such_thing"),
        ({"module": f"{HERE}:no_such_function"}, "ModuleNotFound", "no function no_such_function"),
        ({"module": f"{HERE}:raises"}, "ModelFailed", r"KeyError: 'width' at user_models.py:\d+"),
        ({"module": f"{HERE}:returns_nothing"}, "ModelFailed", "NoneType"),
        ({"module": f"{HERE}:linear", "parameters": {"wrong": 1}}, "ModelFailed", "wrong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_built_says_why(fields: dict[str, object], reason: str, says: str) -> None:
    """Every mistake in `model:` is a fault that is not tried again and that says what to correct."""
    with pytest.raises(RunFault, match=says) as caught:
        build_network(source(**fields), (8,), 3)
    assert (caught.value.reason, caught.value.retryable) == (reason, False)


def test_images_need_two_or_three_dimensions() -> None:
    """An ImageClassifier over flat lists is refused, with what to use instead."""
    with pytest.raises(RunFault, match="use Perceptron"):
        build_network(source(builtin="ImageClassifier"), (64,), 10)


def test_a_users_network_gets_its_parameters() -> None:
    """`parameters` are the function's keyword arguments."""
    network = build_network(source(module=f"{HERE}:linear", parameters={"inputs": 8, "outputs": 3}), (8,), 3)
    assert network(torch.rand(2, 8)).shape == (2, 3)


def test_an_answer_of_the_wrong_shape_is_the_models_fault() -> None:
    """A network with too few outputs is named with the shape that it gave and the one that was needed."""
    guarded = Guarded(torch.nn.Linear(8, 2), "mine:build", outputs=3)
    with pytest.raises(RunFault, match=r"answered shape \(4, 2\) .* \(4, 3\)"):
        guarded(torch.rand(4, 8))


def test_one_output_may_come_without_its_dimension() -> None:
    """For a number, (n,) is as good as (n, 1)."""
    assert Guarded(torch.nn.Flatten(0), "mine:build", outputs=1)(torch.rand(4, 1)).shape == (4, 1)
