"""A pinned version is read, or refused: never another in its place."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, write_deltalake

from headrace.api.artifacts import DatasetVersion
from headrace.api.run_report import Records
from headrace_workers import parquet_versions
from headrace_workers.dataset_version import DIGEST, opened
from headrace_workers.faults import RunFault
from headrace_workers.parquet_versions import VersionFile, VersionManifest
from headrace_workers.storage import Folder


def delta(folder: Path, *digests: str) -> None:
    for number, digest in enumerate(digests):
        properties = CommitProperties(custom_metadata={DIGEST: digest})
        write_deltalake(folder, pa.table({"x": [number]}), mode="overwrite", commit_properties=properties)


def parquet(folder: Path, *digests: str) -> None:
    (folder / "data").mkdir(parents=True)
    for number, digest in enumerate(digests):
        pq.write_table(pa.table({"x": [number]}), folder / f"data/{number}.parquet")
        manifest = VersionManifest(
            version=number, uid="u", run=1, plan="p", pipeline="a/b", digest=digest, records=Records(),
            files=(VersionFile(name=f"data/{number}.parquet", rows=1, size_bytes=1),),
        )  # fmt: skip
        parquet_versions.publish(Folder(f"file:{folder}"), manifest)


WRITERS = {"delta": delta, "parquet": parquet}


def pinned(folder: Path, kind: str, version: int, digest: str) -> DatasetVersion:
    return DatasetVersion(uri=f"file://{folder}", version=version, digest=digest, format=kind)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_version_that_was_pinned(kind: str, tmp_path: Path) -> None:
    """Also when there are newer ones; without a digest nothing is compared."""
    WRITERS[kind](tmp_path / "t", "first", "second")
    assert opened(pinned(tmp_path / "t", kind, 0, "first")).to_table()["x"].to_pylist() == [0]
    assert opened(pinned(tmp_path / "t", kind, 1, "")).to_table()["x"].to_pylist() == [1]


@pytest.mark.parametrize("kind", WRITERS)
def test_another_table_in_its_place_is_refused(kind: str, tmp_path: Path) -> None:
    """The digests are named, as far as one tells them apart by."""
    WRITERS[kind](tmp_path / "t", "made-of-other-data")
    with pytest.raises(RunFault, match="its digest is made-of-other-da, not first") as caught:
        opened(pinned(tmp_path / "t", kind, 0, "first"))
    assert caught.value.reason == "DatasetChanged"


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("version", [0, 7])
def test_what_is_not_there(kind: str, version: int, tmp_path: Path) -> None:
    """No table, no version, or files that have gone."""
    if version:
        WRITERS[kind](tmp_path / "t", "first")
    with pytest.raises(RunFault) as caught:
        opened(pinned(tmp_path / "t", kind, version, "first"))
    assert caught.value.reason == "DatasetMissing"


def test_files_that_have_gone(tmp_path: Path) -> None:
    """A manifest whose file was deleted is no version any more."""
    parquet(tmp_path / "t", "first")
    (tmp_path / "t/data/0.parquet").unlink()
    with pytest.raises(RunFault) as caught:
        opened(pinned(tmp_path / "t", "parquet", 0, "first"))
    assert caught.value.reason == "DatasetMissing"


def test_a_format_that_is_not_read() -> None:
    """Says which ones are."""
    with pytest.raises(RunFault, match="this release reads delta and parquet"):
        opened(DatasetVersion(uri="file:///t", version=0, digest="", format="iceberg"))
