"""One version of a dataset table as tensors in memory, by split. It reads the pinned version and nothing newer.

Records are ordered by id, so that every process, whenever it reads, sees the same order.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from headrace.api.artifacts import DatasetVersion
from headrace.api.media import DecodeSound
from headrace.api.train_job import Dataset
from headrace_workers.dataset_version import opened
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.tokenizing import Tokenizing, padded
from headrace_workers.train.fitted import load_preprocessing

TRAIN = "train"
FEATURES_BY_CONVENTION = ("image", "features", "embedding", "text")


@dataclass(frozen=True)
class Split:
    """Records of one split: inputs (n, *shape) as float32, or as int64 where they are token ids.

    Targets are (n,) class indices (int64) or numbers (float32); where the next token is predicted, they are the inputs.
    """

    inputs: torch.Tensor
    targets: torch.Tensor

    def __len__(self) -> int:
        """The number of records."""
        return len(self.targets)


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset version in memory; `classes` are the labels in the order of their indices, none for fractions.

    Where inputs are token ids, they are smaller than `vocabulary`.
    """

    splits: dict[str, Split]
    shape: tuple[int, ...]
    classes: tuple[int | str, ...] | None
    features: str
    target: str
    vocabulary: int | None = None


def load_dataset(version: DatasetVersion, dataset: Dataset, *, next_token: bool = False) -> LoadedDataset:
    """The pinned version's records; RunFault where a column or a split is missing or cannot be learnt from.

    With `next_token` the input column is its own target.
    """
    fitted = load_preprocessing(version)
    files = opened(version)
    columns = files.schema.names
    features = features_column(dataset, fitted, columns, version)
    target = features if next_token else dataset.target
    for name, where in ((target, "dataset.target"), ("split", "a split step in the pipeline")):
        if name not in columns:
            raise RunFault(
                "ColumnMissing",
                f"dataset {version.uri} has no column {name}, only {', '.join(columns)}; correct {where}",
            )
    table = files.to_table(
        columns=list(dict.fromkeys([features, target, "split", *(["id"] if "id" in columns else [])]))
    )
    if "id" in columns:
        table = table.sort_by("id")
    chosen = fitted.model_copy(update={"features": features})
    _require_one_length(chosen, version)
    tokenizing = chosen.tokenizing
    if tokenizing:
        inputs = _tokens(table[features], tokenizing, version)
    else:
        inputs = _inputs(table[features], features, version)
    shape = fitted.shape if fitted.shape and prod(fitted.shape) == inputs.shape[1] else (inputs.shape[1],)
    targets, classes = (inputs, None) if next_token else _targets(table, target, fitted, version)
    splits = {}
    for name in sorted(pc.unique(table["split"]).to_pylist()):
        chosen = pc.equal(table["split"], name).to_numpy()
        taken = torch.from_numpy(inputs[chosen].reshape(-1, *shape))
        splits[name] = Split(taken, taken if next_token else torch.from_numpy(targets[chosen]))
    vocabulary = tokenizing.vocabulary if tokenizing else None
    return LoadedDataset(splits, tuple(shape), classes, features, target, vocabulary)


def features_column(dataset: Dataset, fitted: Preprocessing, columns: list[str], version: DatasetVersion) -> str:
    """The input column: the spec's, else the pipeline's, else the first known name; RunFault if it is not there."""
    wanted = (
        [dataset.features]
        if dataset.features
        else [*([fitted.features] if fitted.features else []), *FEATURES_BY_CONVENTION]
    )
    found = next((name for name in wanted if name in columns), None)
    if found is None:
        message = f"dataset {version.uri} has no column {' or '.join(wanted)}, only {', '.join(columns)}; set dataset.features"
        raise RunFault("ColumnMissing", message)
    return found


def _require_one_length(fitted: Preprocessing, version: DatasetVersion) -> None:
    """Sounds that happen to be equally long are not enough: those that users send are not."""
    if fitted.decoding and isinstance(fitted.decoding.decode, DecodeSound) and fitted.decoding.decode.seconds is None:
        raise RunFault(
            "NotSupported",
            f"column {fitted.features} of dataset {version.uri} is made of sounds each of its own length; inputs need one length: set seconds of the pipeline's decodeSound",
        )


def _inputs(column: pa.ChunkedArray, name: str, version: DatasetVersion) -> np.ndarray[Any, Any]:
    """A column of numbers or (nested) lists of one length as float32 (n, elements)."""
    array = column.combine_chunks()
    records, elements = len(array), 1
    while pa.types.is_nested(array.type):
        if array.null_count:
            raise _has_nulls(name, version)
        if pa.types.is_struct(array.type) or len(lengths := pc.unique(pc.list_value_length(array))) > 1:
            raise RunFault(
                "NotSupported",
                f"column {name} of dataset {version.uri} holds lists of several lengths; inputs need one length",
            )
        elements *= lengths[0].as_py() if len(lengths) else 1
        array = pc.list_flatten(array)
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        message = f"column {name} of dataset {version.uri} holds {array.type}, not numbers; put a tokenize step into the pipeline, or set dataset.features to a column of numbers"
        raise RunFault("NotSupported", message)
    if array.null_count:
        raise _has_nulls(name, version)
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(records, elements)


def _tokens(
    column: pa.ChunkedArray, tokenizing: Tokenizing, version: DatasetVersion
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A column of lists of token ids as int64 (n, max_tokens)."""
    lists = column.combine_chunks()
    ids = lists.flatten()
    if lists.null_count or ids.null_count:
        raise _has_nulls(tokenizing.into, version)
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    flat = ids.to_numpy(zero_copy_only=False).astype(np.int64)
    known = len(flat) == 0 or (flat.min() >= 0 and flat.max() < tokenizing.vocabulary)
    if not known or lengths.max(initial=0) > tokenizing.max_tokens:
        message = f"column {tokenizing.into} of dataset {version.uri} does not hold what its tokenizer makes; run the pipeline again"
        raise RunFault("DatasetMismatch", message)
    return padded(flat, lengths, tokenizing.max_tokens)


def _targets(
    table: pa.Table, name: str, fitted: Preprocessing, version: DatasetVersion
) -> tuple[np.ndarray[Any, Any], tuple[int | str, ...] | None]:
    """Fractions as float32, anything else as indices into the classes."""
    column = table[name].combine_chunks()
    if column.null_count:
        raise _has_nulls(name, version)
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False).astype(np.float32), None
    if pa.types.is_nested(column.type):
        message = f"column {name} of dataset {version.uri} holds {column.type}, which is no label; correct dataset.target, or use loss nextToken to learn what comes next"
        raise RunFault("NotSupported", message)
    labels = column.to_pylist()
    if fitted.classes and fitted.target == name:
        classes = fitted.classes
    else:
        classes = tuple(
            sorted({label for label, split in zip(labels, table["split"].to_pylist(), strict=True) if split == TRAIN})
        )
    index = {label: number for number, label in enumerate(classes)}
    if unknown := sorted({label for label in labels if label not in index}):
        message = f"column {name} of dataset {version.uri} has {unknown[0]!r}, which is not among its {len(classes)} classes; split it anew or correct the labels"
        raise RunFault("UnknownClass", message)
    return np.array([index[label] for label in labels], dtype=np.int64), classes


def _has_nulls(name: str, version: DatasetVersion) -> RunFault:
    return RunFault(
        "MissingValues", f"column {name} of dataset {version.uri} has missing values; fill or drop them in the pipeline"
    )
