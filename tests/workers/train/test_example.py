"""The example of a model version is a raw record, as a user would post it."""

from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from headrace.api.artifacts import DatasetVersion
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.storage import Folder
from headrace_workers.train.example import example_instance
from tests.workers.sounds import DECODE, FEATURES, SCALE, SPLIT, tones_version
from tests.workers.texts import tokenizing


def dataset(folder: Path, split: str) -> DatasetVersion:
    """A table with one scaled record."""
    write_deltalake(str(folder), pa.table({"image": [[0.0, 1.0]], "split": [split]}))
    return DatasetVersion(uri=folder.as_uri(), version=0, digest="d")


FITTED = Preprocessing.model_validate(
    {
        "features": "image",
        "shape": [2],
        "steps": [{"scale": {"column": "image", "method": "MinMax", "offset": 3.0, "divisor": 2.0}}],
    }
)


def test_the_example_is_raw(tmp_path: Path) -> None:
    """What the pipeline scaled is scaled back."""
    assert example_instance(dataset(tmp_path, "validation"), "validation", "image", FITTED) == [3.0, 5.0]


def test_no_record_no_example(tmp_path: Path) -> None:
    """A split without records has no example."""
    assert example_instance(dataset(tmp_path, "train"), "validation", "image", FITTED) is None


def test_preprocessing_is_saved_beside_it(tmp_path: Path) -> None:
    """The example goes through what serving loads: applying the saved steps gives the table's values again."""
    FITTED.save(Folder(tmp_path.as_uri()))
    raw = example_instance(dataset(tmp_path / "t", "validation"), "validation", "image", FITTED)
    assert Preprocessing.load(Folder(tmp_path.as_uri())).apply([raw]).tolist() == [[0.0, 1.0]]


def test_the_example_of_tokens_is_their_text(tmp_path: Path) -> None:
    """Ids are nothing that a user would post."""
    fitted = Preprocessing(features="tokens", shape=(3,), steps=(FittedStep(tokenize=tokenizing()),))
    write_deltalake(str(tmp_path), pa.table({"text": ["one two"], "tokens": [[4, 5]], "split": ["validation"]}))
    version = DatasetVersion(uri=tmp_path.as_uri(), version=0, digest="d")
    assert example_instance(version, "validation", "tokens", fitted) == "one two"


def test_the_example_of_sound_is_silence(tmp_path: Path) -> None:
    """A recording would be thousands of letters; what is published is answered all the same."""
    version = tones_version(tmp_path, DECODE, SPLIT, FEATURES, SCALE)
    fitted = Preprocessing.load(Folder(version.artifacts))
    raw = example_instance(version, "validation", "features", fitted)
    assert len(raw) < 100
    assert fitted.apply([raw]).shape == (1, 24, 16)
