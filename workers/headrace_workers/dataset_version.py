"""A DatasetVersion opened for reading: that very version, whatever the table's format, and no other in its place."""

import json
from collections.abc import Callable, Mapping

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from fsspec.core import url_to_fs
from pyarrow import dataset as arrow

from headrace.api.artifacts import DatasetVersion
from headrace_workers import parquet_versions
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

DIGEST = "headrace.digest"


def opened(version: DatasetVersion) -> arrow.Dataset:
    """The version's records, in files; RunFault DatasetMissing or DatasetChanged."""
    if version.format not in FORMATS:
        raise RunFault(
            "NotSupported",
            f"dataset {version.uri} is {version.format}; this release reads {' and '.join(sorted(FORMATS))}",
        )
    return FORMATS[version.format](version)


def _delta(version: DatasetVersion) -> arrow.Dataset:
    try:
        table = DeltaTable(version.uri, version=version.version)
        found = table.to_pyarrow_dataset()
    except TableNotFoundError as error:
        raise RunFault(
            "DatasetMissing", f"there is no table in {version.uri}; run the pipeline that makes it"
        ) from error
    except DeltaError as error:
        raise _missing(version, f": {error}") from error
    log = Folder(version.uri).sub("_delta_log")
    name = f"{version.version:020d}.json"
    if version.digest and log.exists(name):
        entries = (json.loads(line).get("commitInfo", {}) for line in log.read(name).splitlines())
        _require_same(version, next((entry[DIGEST] for entry in entries if DIGEST in entry), version.digest))
    return found


def _parquet(version: DatasetVersion) -> arrow.Dataset:
    table = Folder(version.uri)
    try:
        manifest = parquet_versions.load(table, version.version)
    except FileNotFoundError as error:
        raise _missing(version) from error
    _require_same(version, manifest.digest)
    file_system, path = url_to_fs(version.uri)
    files = [f"{path.rstrip('/')}/{file.name}" for file in manifest.files]
    try:
        return arrow.dataset(files, filesystem=file_system, format="parquet")
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise _missing(version, f": {error}") from error


FORMATS: Mapping[str, Callable[[DatasetVersion], arrow.Dataset]] = {"delta": _delta, "parquet": _parquet}


def _missing(version: DatasetVersion, why: str = "") -> RunFault:
    message = f"version {version.version} of table {version.uri} cannot be read{why}"
    return RunFault("DatasetMissing", f"{message[:800]}; was it moved or vacuumed? pin a version that exists")


def _require_same(version: DatasetVersion, digest: str) -> None:
    """Another table may have come to stand in the same place."""
    if version.digest and digest != version.digest:
        raise RunFault(
            "DatasetChanged",
            f"version {version.version} of table {version.uri} is not the one that was pinned: its digest is {digest[:16]}, not {version.digest[:16]}; run the pipeline again, or pin a version that exists",
        )
