"""Preprocessing: what serving does to raw inputs is what the pipeline did to the table."""

from pathlib import Path

import numpy as np
import pytest

from headrace_workers.preprocessing import FittedStep, Preprocessing, Scaling
from headrace_workers.storage import Folder
from tests.workers.texts import tokenizing

PREPROCESSING = Preprocessing(
    features="image",
    shape=(2, 2),
    classes=(0, 1),
    steps=(
        FittedStep(
            scale=Scaling(column="image", method="Standard", offset=(1.0, 2.0, 3.0, 4.0), divisor=(2.0, 2.0, 2.0, 1.0))
        ),
    ),
)


def test_scales_and_shapes_instances() -> None:
    """A flat instance is scaled element by element and gets the model's shape."""
    result = PREPROCESSING.apply([[3, 4, 5, 6]])
    assert result.dtype == np.float32
    assert result.tolist() == [[[1.0, 1.0], [1.0, 2.0]]]


@pytest.mark.parametrize("instance", [[3, 4, 5, 6], [[3, 4], [5, 6]], {"image": [3, 4, 5, 6]}])
def test_takes_every_way_to_write_an_instance(instance: object) -> None:
    """Flat, nested and named instances mean the same."""
    assert PREPROCESSING.apply([instance]).tolist() == [[[1.0, 1.0], [1.0, 2.0]]]


def test_no_instances_give_no_rows() -> None:
    """An empty request has an answer of the right shape."""
    assert PREPROCESSING.apply([]).shape == (0, 2, 2)


def test_leaves_other_columns_scaling_alone() -> None:
    """A scaling of another column is not applied to the features."""
    other = Preprocessing(
        features="features",
        steps=(FittedStep(scale=Scaling(column="price", method="MinMax", offset=1.0, divisor=2.0)),),
    )
    assert other.apply([[1.0, 2.0]]).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ([1, 2, 3], "instance 0 holds 3 numbers where image has 4"),
        (["a", "b", "c", "d"], "instance 0 is not a list of numbers"),
        ([1, 2, 3, None], "instance 0 holds a value that is missing or not finite"),
        ({"picture": [1]}, "instance 0 has no field image; it has picture"),
    ],
)
def test_names_the_instance_that_does_not_fit(instance: object, said: str) -> None:
    """An instance that cannot be an input is named with what is wrong."""
    with pytest.raises(ValueError, match=said):
        PREPROCESSING.apply([instance])


def test_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Saving and loading changes nothing."""
    folder = Folder(f"file:{tmp_path}")
    PREPROCESSING.save(folder)
    assert Preprocessing.load(folder) == PREPROCESSING


TEXTS = Preprocessing(features="tokens", shape=(3,), steps=(FittedStep(tokenize=tokenizing()),))


@pytest.mark.parametrize("instance", ["one two", {"text": "one two", "id": 7}])
def test_texts_become_padded_ids(instance: object) -> None:
    """Whole numbers, as embeddings need them; the column that users send is the text."""
    result = TEXTS.apply([instance])
    assert result.dtype == np.int64
    assert (result.shape, result[0, 2], TEXTS.raw) == ((1, 3), 0, "text")


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        (3, "instance 0 is not a text; send text as a string"),
        ({"tokens": [1]}, "instance 0 has no field text; it has tokens"),
        ("a\ud800", "instance 0 holds half of a character"),
    ],
)
def test_names_the_instance_that_is_no_text(instance: object, said: str) -> None:
    """An instance that cannot be read as a text is named with what is wrong."""
    with pytest.raises(ValueError, match=said):
        TEXTS.apply([instance])


def test_tokenizers_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """The tokenizer is JSON inside JSON, and the same text after."""
    folder = Folder(f"file:{tmp_path}")
    TEXTS.save(folder)
    assert Preprocessing.load(folder) == TEXTS
