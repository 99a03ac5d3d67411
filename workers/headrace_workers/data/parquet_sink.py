"""The lake as plain Parquet files: the workers write them into the table's folder, and one manifest makes them a version.

The manifest says who made it, so that a run killed between its commit and its report finds its own work.
"""

from headrace.api.run_spec import RunIdentity
from headrace_workers import parquet_versions
from headrace_workers.data.engine import Prepared
from headrace_workers.data.sink import Committed
from headrace_workers.faults import RunFault
from headrace_workers.parquet_versions import DATA, VersionFile, VersionManifest
from headrace_workers.storage import Folder

UID_CHARACTERS = 13
KEY_CHARACTERS = 16


def data_folder(uri: str, identity: RunIdentity, plan_key: str) -> Folder:
    """Where the files of this run's version lie."""
    return Folder(uri).sub(f"{DATA}/{_mine(identity)}{identity.run}-{plan_key[:KEY_CHARACTERS]}")


def _mine(identity: RunIdentity) -> str:
    return f"{identity.uid[:UID_CHARACTERS]}-"


def find_commit(uri: str, identity: RunIdentity, plan_key: str) -> Committed | None:
    """The version that this very run made of this very plan, if it did."""
    table = Folder(uri)
    for number in reversed(parquet_versions.numbers(table)):
        found = parquet_versions.load(table, number)
        if (found.uid, found.run, found.plan) == (identity.uid, identity.run, plan_key):
            return Committed(found.version, found.digest, found.records, found.splits)
    return None


def commit(uri: str, identity: RunIdentity, plan_key: str, prepared: Prepared) -> Committed:
    """Makes the files that are there the table's new version, unless this run has done so."""
    if found := find_commit(uri, identity, plan_key):
        return found
    table = Folder(uri)
    before = parquet_versions.numbers(table)
    folder = data_folder(uri, identity, plan_key).uri.removeprefix(f"{table.uri.rstrip('/')}/")
    manifest = VersionManifest(
        version=before[-1] + 1 if before else 0,
        uid=identity.uid,
        run=identity.run,
        plan=plan_key,
        pipeline=f"{identity.namespace}/{identity.name}",
        digest=prepared.digest,
        records=prepared.records,
        splits=prepared.splits,
        files=tuple(
            VersionFile(name=f"{folder}/{name}", rows=rows, size_bytes=size) for name, rows, size in prepared.files
        ),
    )
    try:
        parquet_versions.publish(table, manifest)
    except FileExistsError:
        if found := find_commit(uri, identity, plan_key):
            return found
        raise RunFault(
            "CommitConflict",
            f"another writer made version {manifest.version} of the table {uri} meanwhile",
            retryable=True,
        ) from None
    _forget_unfinished(table, identity, before)
    return Committed(manifest.version, manifest.digest, manifest.records, manifest.splits)


def _forget_unfinished(table: Folder, identity: RunIdentity, versions: list[int]) -> None:
    """Removes what earlier runs of this pipeline wrote and never made a version of."""
    used = {file.name.split("/")[1] for number in versions for file in parquet_versions.load(table, number).files}
    data = table.sub(DATA)
    for name in data.names():
        run = name.removeprefix(_mine(identity)).partition("-")[0]
        if name.startswith(_mine(identity)) and run.isdecimal() and int(run) < identity.run and name not in used:
            data.delete(name)
