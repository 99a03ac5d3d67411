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
from headrace_workers.train.dataset import load_dataset
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
