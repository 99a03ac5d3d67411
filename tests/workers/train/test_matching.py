"""Which of given weights a network takes."""

import pytest
import torch

from headrace_workers.faults import RunFault
from headrace_workers.train.matching import is_under, matched


def weights(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Zeros by name; a double underscore stands for the dot."""
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


OLD = weights(body__0__weight=(4, 8), head__weight=(10, 4), head__bias=(10,))
NEW = weights(body__0__weight=(4, 8), head__weight=(3, 4), head__bias=(3,))


@pytest.mark.parametrize(
    ("prefix", "name", "under"),
    [
        pytest.param("head", "head.weight", True, id="a module means its parameters"),
        pytest.param("head.weight", "head.weight", True, id="a parameter means itself"),
        pytest.param("head", "header.weight", False, id="half a name means nothing"),
        pytest.param("1", "11.weight", False, id="nor does half a number"),
    ],
)
def test_what_a_prefix_means(prefix: str, name: str, under: bool) -> None:
    """A prefix ends where a name does."""
    assert is_under(name, (prefix,)) is under


def test_another_shape_is_told_with_what_to_write() -> None:
    """The sentence names parameters, both shapes, and the modules for `except`."""
    with pytest.raises(RunFault) as caught:
        matched(OLD, NEW, (), "model version digits-1")
    assert caught.value.reason == "WeightsDoNotFit"
    assert caught.value.message == (
        "model version digits-1 does not fit the network: head.bias has shape (10,), the network's has (3,); "
        "head.weight has shape (10, 4), the network's has (3, 4); "
        "to start them anew write except: ['head'] in model.from, or correct the model"
    )


def test_what_starts_anew_is_not_taken() -> None:
    """Only what was declared is left out; the rest is taken as it is."""
    assert matched(OLD, NEW, ("head",), "old").keys() == {"body.0.weight"}
    assert matched(OLD, OLD, ("head",), "old").keys() == {"body.0.weight"}


@pytest.mark.parametrize(
    ("given", "wanted", "fact"),
    [
        pytest.param(OLD, OLD | weights(tail__weight=(2,)), "tail.weight is missing", id="a parameter that nobody gives"),
        pytest.param(OLD | weights(tail__weight=(2,)), OLD, "tail.weight is not in the network", id="one that nobody takes"),
    ],
)  # fmt: skip
def test_other_names_are_refused(given: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], fact: str) -> None:
    """Nothing is left out or left untrained in silence; both may be declared."""
    with pytest.raises(RunFault, match=fact):
        matched(given, wanted, (), "old")
    assert matched(given, wanted, ("tail",), "old").keys() == OLD.keys()


def test_a_prefix_that_means_nothing_is_a_slip() -> None:
    """Otherwise a typing error would train on what should have been left out."""
    with pytest.raises(RunFault, match=r"model\.from\.except names haed, which no parameter is called; there are body"):
        matched(OLD, NEW, ("haed",), "old")
