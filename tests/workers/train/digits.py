"""The digits of scikit-learn as a dataset version, for tests that do not want a pipeline."""

from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from sklearn.datasets import load_digits

from headrace.api.artifacts import DatasetVersion
from headrace_workers.preprocessing import FittedStep, Preprocessing, Scaling
from headrace_workers.storage import Folder


def digits_version(folder: Path, records: int = 1797) -> DatasetVersion:
    """A Delta table with id, image, label and split (every fifth record validates), scaled to 0..1."""
    digits = load_digits()
    images = digits.data[:records] / 16.0
    table = pa.table(
        {
            "id": [f"{number:05d}" for number in range(records)],
            "image": pa.array(list(images), pa.list_(pa.float32())),
            "label": pa.array(digits.target[:records], pa.int64()),
            "split": ["validation" if number % 5 == 0 else "train" for number in range(records)],
        }
    )
    uri = f"file://{folder}/digits"
    write_deltalake(uri, table)
    scaling = Scaling(column="image", method="MinMax", offset=0.0, divisor=16.0)
    Preprocessing(features="image", shape=(8, 8), classes=tuple(range(10)), steps=(FittedStep(scale=scaling),)).save(
        Folder(f"{uri}/artifacts")
    )
    return DatasetVersion(uri=uri, version=0, digest="sha256:digits", records=records, artifacts=f"{uri}/artifacts")
