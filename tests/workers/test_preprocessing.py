"""Preprocessing: what serving does to raw inputs is what the pipeline did to the table."""

from pathlib import Path

import numpy as np
import pytest

from headrace.api.media import DecodeImage, DecodeSound, SoundFeatures
from headrace_workers.media.decoding import Decoding, sendable
from headrace_workers.preprocessing import FittedStep, Preprocessing, Scaling
from headrace_workers.storage import Folder
from tests.workers.sounds import RATE, encoded, picture, tone
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


HEARD = Preprocessing(
    features="features",
    steps=(
        FittedStep(decode_sound=DecodeSound(sample_rate=RATE, seconds=0.4)),
        FittedStep(sound_features=SoundFeatures(mels=16)),
        FittedStep(scale=Scaling(column="features", method="Standard", offset=1.0, divisor=2.0)),
    ),
)
SEEN = Preprocessing(
    features="image", shape=(3, 2, 2), steps=(FittedStep(decode_image=DecodeImage(width=2, height=2, min_width=2)),)
)


def test_sounds_are_decoded_heard_and_scaled() -> None:
    """In the order of the pipeline; what users send is the column of bytes, in base64."""
    content = encoded(tone())
    (sent,) = HEARD.sendable([content])
    features = Decoding(HEARD.steps[0].value, HEARD.steps[1].value).numbers(content)
    assert HEARD.raw == "content"
    for instance in (sent, {"content": sent, "id": 7}):
        np.testing.assert_allclose(HEARD.apply([instance])[0], (features.reshape(-1) - 1) / 2, rtol=1e-6)


def test_samples_are_an_input_too() -> None:
    """Without features nothing is heard; another column than the decoded one is sent as it is."""
    samples = HEARD.model_copy(update={"features": "sound"})
    assert samples.apply(samples.sendable([encoded(tone())])).shape == (1, 3200)
    other = HEARD.model_copy(update={"features": "numbers"})
    assert (other.decoding, other.raw, other.sendable([[1.0, 2.0]])) == (None, "numbers", [[1.0, 2.0]])


def test_images_are_decoded() -> None:
    """Into the model's shape."""
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(SEEN.apply(SEEN.sendable([picture(pixels)]))[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("preprocessing", "instance", "said"),
    [
        (HEARD, [0.0, 1.0], "instance 0 is not a text of base64; send content as the base64 of a file of WAV, FLAC"),
        (HEARD, {"sound": ""}, "instance 0 has no field content; it has sound"),
        (HEARD, "", "instance 0 is empty; send content"),
        (HEARD, sendable(encoded(tone())[:-2]), "instance 0 is cut off: 7998 of 8000 bytes of sound are there"),
        (SEEN, sendable(encoded(tone())), "instance 0 does not begin as PNG or JPEG does"),
        (SEEN, sendable(picture(np.zeros((1, 1), np.uint8))), "instance 0 is 1 x 1 pixels, not 2 x 1 at least"),
    ],
)
def test_names_the_instance_that_cannot_be_decoded(preprocessing: Preprocessing, instance: object, said: str) -> None:
    """And says what is wrong with it, and what to send."""
    with pytest.raises(ValueError, match=said):
        preprocessing.apply([instance])


def test_what_decodes_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """All that the manifest said, defaults too."""
    folder = Folder(f"file:{tmp_path}")
    for preprocessing in (HEARD, SEEN):
        preprocessing.save(folder)
        assert Preprocessing.load(folder) == preprocessing
