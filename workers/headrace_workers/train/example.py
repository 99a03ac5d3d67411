"""One raw instance that a model version answers, kept in its model.json for people to try it with."""

from typing import Any

from pyarrow import compute

from headrace.api.artifacts import DatasetVersion
from headrace_workers.dataset_version import opened
from headrace_workers.preprocessing import Preprocessing

DECIMALS = 4


def example_instance(dataset: DatasetVersion, split: str, features: str, fitted: Preprocessing) -> Any:
    """The first record of a split as it was before the fitted steps; None where the split has none.

    Of sound it is silence and of images a black one: a record would be thousands of letters of base64.
    """
    if features == fitted.features and fitted.decoding:
        return fitted.decoding.nothing()
    column = fitted.raw if features == fitted.features else features
    table = opened(dataset)
    rows = table.head(1, columns=[column], filter=compute.field("split") == split).to_pylist()
    if not rows:
        return None
    if features != fitted.features or fitted.tokenizing:
        return rows[0][column]
    # Adding zero turns a rounded -0.0 into 0.0.
    return (fitted.inverse([rows[0][features]])[0].round(DECIMALS) + 0.0).tolist()
