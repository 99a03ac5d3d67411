"""Images of digits as a dataset version, for runs that do not want a pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from sklearn.datasets import load_digits

from headrace.api.artifacts import DatasetVersion
from headrace_workers.preprocessing import FittedStep, Preprocessing, Scaling
from headrace_workers.storage import Folder


def digits_version(folder: Path, records: int = 1797) -> DatasetVersion:
    """The images of scikit-learn, or the first of them."""
    digits = load_digits()
    return images_version(folder, digits.data[:records] / 16.0, digits.target[:records], (8, 8), divisor=16.0)


def images_version(
    folder: Path, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], shape: tuple[int, ...], divisor: float
) -> DatasetVersion:
    """A Delta table with id, image, label and split (every fifth record validates), scaled to 0..1 by that divisor."""
    records = len(images)
    table = pa.table(
        {
            "id": [f"{number:05d}" for number in range(records)],
            "image": pa.array(list(images), pa.list_(pa.float32())),
            "label": pa.array(labels, pa.int64()),
            "split": ["validation" if number % 5 == 0 else "train" for number in range(records)],
        }
    )
    uri = f"file://{folder}/digits"
    write_deltalake(uri, table)
    scaling = Scaling(column="image", method="MinMax", offset=0.0, divisor=divisor)
    Preprocessing(features="image", shape=shape, classes=tuple(range(10)), steps=(FittedStep(scale=scaling),)).save(
        Folder(f"{uri}/artifacts")
    )
    return DatasetVersion(uri=uri, version=0, digest="sha256:digits", records=records, artifacts=f"{uri}/artifacts")
