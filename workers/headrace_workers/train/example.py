"""One raw instance that a model version answers, kept in its model.json for people to try it with."""

from typing import Any

from pyarrow import compute

from headrace.api.artifacts import DatasetVersion
from headrace_workers.dataset_version import opened
from headrace_workers.preprocessing import Preprocessing

DECIMALS = 4
MOST_BYTES = 65_536
"""An encoded sound or image that is larger makes no example to read."""


def example_instance(dataset: DatasetVersion, split: str, features: str, fitted: Preprocessing) -> Any:
    """The first record of a split as it was before the fitted steps; None where the split has none that is small enough."""
    column = fitted.raw if features == fitted.features else features
    table = opened(dataset)
    rows = table.head(1, columns=[column], filter=compute.field("split") == split).to_pylist()
    if not rows:
        return None
    raw = rows[0][column]
    if features != fitted.features or fitted.tokenizing:
        return raw
    if fitted.decoding:
        return fitted.sendable([raw])[0] if raw is not None and len(raw) <= MOST_BYTES else None
    # Adding zero turns a rounded -0.0 into 0.0.
    return (fitted.inverse([raw])[0].round(DECIMALS) + 0.0).tolist()
