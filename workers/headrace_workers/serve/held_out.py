"""Held-out records of a dataset version, as a user would send them: the table's scaling undone, in an order of their own.

It reads the pinned version and nothing newer, and never more than `RECORDS_MAX`: a probe repeats itself before it grows.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pyarrow import dataset as arrow

from headrace.api.artifacts import DatasetVersion
from headrace.api.run_spec import ProbeSpec
from headrace_workers.dataset_version import opened
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import Preprocessing
from headrace_workers.storage import Folder

RECORDS_MAX = 5000
ENCODED_MAX = 200
"""Of sounds and images, which are sent as they were encoded."""
USUAL_FEATURES = ("image", "features", "embedding", "text")


@dataclass(frozen=True)
class HeldOut:
    """One request, ready to send, and the answer it should get, if any answer is the right one."""

    body: bytes
    target: Any


def held_out_records(spec: ProbeSpec) -> list[HeldOut]:
    """The records of the split, in an order that depends on their ids alone; RunFault if there are none to send."""
    version = spec.dataset
    preprocessing = _preprocessing(version)
    table = opened(version)
    features = (
        spec.features
        or preprocessing.features
        or next((name for name in USUAL_FEATURES if name in table.schema.names), "")
    )
    # Where the input column is made of texts or of encoded bytes, these are what a user would send.
    column = preprocessing.raw if features == preprocessing.features else features
    wanted = ["id", column, *([spec.target] if spec.target else [])]
    missing = {"split", *wanted} - set(table.schema.names)
    if missing:
        has = ", ".join(table.schema.names)
        kept = "; set keepContent in the pipeline" if preprocessing.decoding and column in missing else ""
        raise RunFault(
            "ColumnMissing",
            f"table {version.uri} has no column {', '.join(sorted(missing)) or 'of features'}; it has {has}{kept}",
        )
    chosen = arrow.field("split") == spec.probe.split
    is_encoded = preprocessing.decoding is not None and column == preprocessing.raw
    if is_encoded:
        # Altered copies have no bytes.
        chosen &= arrow.field(column).is_valid()
    rows = table.head(ENCODED_MAX if is_encoded else RECORDS_MAX, columns=wanted, filter=chosen).to_pylist()
    if not rows:
        message = f"split {spec.probe.split} of {version.uri} version {version.version} has no records to probe with: choose another split"
        raise RunFault("SplitEmpty", message)
    rows.sort(key=lambda row: hashlib.sha256(str(row["id"]).encode()).digest())
    inputs = [row[column] for row in rows]
    if features == preprocessing.features:
        inputs = preprocessing.sendable(inputs)
    return [
        HeldOut(json.dumps({"instances": [raw]}).encode(), row[spec.target] if spec.target else None)
        for raw, row in zip(inputs, rows, strict=True)
    ]


def _preprocessing(version: DatasetVersion) -> Preprocessing:
    try:
        return Preprocessing.load(Folder(version.artifacts)) if version.artifacts else Preprocessing()
    except FileNotFoundError as error:
        raise RunFault(
            "ArtifactsMissing",
            f"{version.artifacts} has no preprocessing.json: run the pipeline that made {version.uri} again",
        ) from error
