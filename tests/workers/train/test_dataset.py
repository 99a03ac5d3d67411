"""Reading a version of a table as tensors."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from deltalake import write_deltalake

from headrace.api.artifacts import DatasetVersion
from headrace.api.train_job import Dataset
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.storage import Folder
from headrace_workers.tokenizing import Tokenizing
from headrace_workers.train.dataset import load_dataset
from tests.workers.sounds import AUGMENT, DECODE, FEATURES, SCALE, SPLIT, tones_version
from tests.workers.train.digits import digits_version


def dataset(**fields: Any) -> Dataset:
    return Dataset.model_validate({"pipeline": "digits", **fields})


def table(folder: Path, **columns: Any) -> DatasetVersion:
    """A table of four records; `columns` are changed or added."""
    rows = {
        "id": ["d", "c", "b", "a"], "features": [[4.0, 4.0], [3.0, 3.0], [2.0, 2.0], [1.0, 1.0]], "label": ["y", "x", "y", "x"],
        "split": ["train", "train", "train", "validation"], **columns,
    }  # fmt: skip
    write_deltalake(
        f"file://{folder}/table", pa.table({name: values for name, values in rows.items() if values is not None})
    )
    return DatasetVersion(uri=f"file://{folder}/table", version=0, digest="sha256:table")


def test_digits_are_images_with_ten_classes(tmp_path: Path) -> None:
    """Shape and classes come from the fitted preprocessing, splits from the table."""
    data = load_dataset(digits_version(tmp_path, records=100), dataset())
    assert (data.features, data.shape, data.classes) == ("image", (8, 8), tuple(range(10)))
    assert {name: tuple(split.inputs.shape) for name, split in data.splits.items()} == {
        "train": (80, 8, 8),
        "validation": (20, 8, 8),
    }
    assert data.splits["train"].inputs.dtype == torch.float32 and float(data.splits["train"].inputs.max()) == 1.0


def test_records_are_ordered_by_id(tmp_path: Path) -> None:
    """Whatever the order of the files, every reader sees the same."""
    data = load_dataset(table(tmp_path), dataset())
    assert data.splits["train"].inputs[:, 0].tolist() == [2.0, 3.0, 4.0]
    assert (data.classes, data.splits["train"].targets.tolist()) == (("x", "y"), [1, 0, 1])


def test_a_newer_version_is_not_seen(tmp_path: Path) -> None:
    """The pinned version is read, not what came after it."""
    version = table(tmp_path)
    write_deltalake(
        version.uri,
        pa.table({"id": ["e"], "features": [[5.0, 5.0]], "label": ["z"], "split": ["train"]}),
        mode="append",
    )
    assert load_dataset(version, dataset()).classes == ("x", "y")


def test_fractions_are_numbers(tmp_path: Path) -> None:
    """A target of fractions has no classes."""
    data = load_dataset(table(tmp_path, label=[0.5, 1.5, 2.5, 3.5]), dataset())
    assert data.classes is None and data.splits["train"].targets.tolist() == [2.5, 1.5, 0.5]


@pytest.mark.parametrize(
    ("columns", "fields", "reason", "says"),
    [
        ({}, {"features": "pixels"}, "ColumnMissing", "no column pixels, only id, features, label, split"),
        ({}, {"target": "price"}, "ColumnMissing", "no column price"),
        ({"split": None}, {}, "ColumnMissing", "split step"),
        ({"features": ["some", "words", "to", "read"]}, {}, "NotSupported", "put a tokenize step"),
        ({"features": [[1.0], [1.0, 2.0], [3.0], [4.0]]}, {}, "NotSupported", "several lengths"),
        ({"features": [[1.0], None, [3.0], [4.0]]}, {}, "MissingValues", "column features"),
        ({"label": ["x", None, "y", "x"]}, {}, "MissingValues", "column label"),
        ({"label": ["y", "x", "y", "z"]}, {}, "UnknownClass", "'z'"),
        ({"label": [[1], [2], [3], [4]]}, {}, "NotSupported", "no label; .* loss nextToken"),
    ],
)
def test_what_cannot_be_learnt_from_says_why(
    tmp_path: Path, columns: dict[str, Any], fields: dict[str, Any], reason: str, says: str
) -> None:
    """Each fault of a table names the column and what to do."""
    with pytest.raises(RunFault, match=says) as caught:
        load_dataset(table(tmp_path, **columns), dataset(**fields))
    assert caught.value.reason == reason


@pytest.mark.parametrize("version", [0, 7])
def test_a_table_that_is_gone_is_missing(tmp_path: Path, version: int) -> None:
    """A table or a version that is not there is DatasetMissing."""
    if version:
        table(tmp_path)
    with pytest.raises(RunFault) as caught:
        load_dataset(DatasetVersion(uri=f"file://{tmp_path}/table", version=version, digest="x"), dataset())
    assert caught.value.reason == "DatasetMissing"


TOKENIZING = Tokenizing(column="text", into="tokens", max_tokens=3, boundaries=False, vocabulary=9, tokenizer="{}")


def tokens(folder: Path, *rows: list[int] | None, **columns: Any) -> DatasetVersion:
    """A table of token ids that a pipeline made."""
    version = table(folder, tokens=pa.array(rows, pa.list_(pa.int32())), features=None, **columns)
    fitted = Preprocessing(features="tokens", shape=(3,), steps=(FittedStep(tokenize=TOKENIZING),))
    fitted.save(Folder(f"file://{folder}/artifacts"))
    return version.model_copy(update={"artifacts": f"file://{folder}/artifacts"})


def test_token_ids_are_whole_numbers_padded_at_their_ends(tmp_path: Path) -> None:
    """Inputs are int64 as long as the tokenizer's longest, whatever the longest of the table is."""
    data = load_dataset(tokens(tmp_path, [8, 7], [6], [], [5, 4]), dataset())
    inputs = data.splits["train"].inputs
    assert (inputs.dtype, inputs.tolist()) == (torch.int64, [[0, 0, 0], [6, 0, 0], [8, 7, 0]])
    assert (data.shape, data.vocabulary, data.classes) == ((3,), 9, ("x", "y"))


def test_sequences_are_their_own_targets(tmp_path: Path) -> None:
    """To learn what comes next no column of labels is needed."""
    data = load_dataset(tokens(tmp_path, [8, 7], [6], [], [5, 4], label=None), dataset(), next_token=True)
    assert data.splits["train"].targets is data.splits["train"].inputs
    assert (data.target, data.classes) == ("tokens", None)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (([9], [1], [1], [1]), "DatasetMismatch"),
        (([-1], [1], [1], [1]), "DatasetMismatch"),
        (([1, 1, 1, 1], [1], [1], [1]), "DatasetMismatch"),
        ((None, [1], [1], [1]), "MissingValues"),
    ],
)
def test_what_no_tokenizer_made_is_a_fault(tmp_path: Path, rows: tuple[list[int] | None, ...], reason: str) -> None:
    """An id that the model has no place for would end it in the middle of a step."""
    with pytest.raises(RunFault) as caught:
        load_dataset(tokens(tmp_path, *rows), dataset())
    assert caught.value.reason == reason


def test_what_is_heard_in_sounds_has_frames(tmp_path: Path) -> None:
    """One input is frames by bands, which networks of images take."""
    loaded = load_dataset(tones_version(tmp_path, DECODE, SPLIT, AUGMENT, FEATURES, SCALE), dataset())
    assert (loaded.features, loaded.shape, loaded.classes) == ("features", (24, 16), ("high", "low"))
    assert loaded.splits["train"].inputs.shape[1:] == (24, 16)


def test_sounds_of_their_own_length_cannot_be_learnt_from(tmp_path: Path) -> None:
    """Also where all happen to be equally long: a user's need not be."""
    decode = {"decodeSound": {"sampleRate": 8000}}
    one = {"validate": {"columns": [{"name": "sound", "length": 2400}]}}
    version = tones_version(tmp_path, decode, one, FEATURES, SPLIT, quarantine={"maxFraction": 1.0})
    with pytest.raises(RunFault, match=r"each of its own length; .* set seconds of the pipeline's decodeSound"):
        load_dataset(version, dataset())
