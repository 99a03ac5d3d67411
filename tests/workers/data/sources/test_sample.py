"""Samples: the data that scikit-learn ships, as it ships it."""

import numpy as np
import pytest

from headrace.api.data_pipeline import Sample
from headrace_workers.data.images import shape_of
from headrace_workers.data.sources import sample


def test_digits_are_raw_images() -> None:
    """Digits are 1,797 flat images of 64 raw values from 0 to 16, with their shape beside them."""
    table = sample.table(Sample.DIGITS)
    assert table.num_rows == 1797
    assert table.column_names == ["id", "image", "label"]
    assert table["id"][0].as_py() == "digits-0"
    assert shape_of(table.schema.field("image")) == (8, 8)
    assert set(table["label"].to_pylist()) == set(range(10))
    values = np.array(table["image"].to_pylist())
    assert (values.shape, values.min(), values.max()) == ((1797, 64), 0, 16)


@pytest.mark.parametrize(
    ("name", "records", "width", "classes"), [(Sample.WINE, 178, 13, 3), (Sample.BREAST_CANCER, 569, 30, 2)]
)
def test_tables_of_measurements(name: Sample, records: int, width: int, classes: int) -> None:
    """Wine and breast cancer are lists of measurements with a label."""
    table = sample.table(name)
    assert np.array(table["features"].to_pylist()).shape == (records, width)
    assert set(table["label"].to_pylist()) == set(range(classes))
