"""The lake: one commit of one version of a Delta table, at the end, once a run.

The commit carries who made it, so that a run killed between its commit and its report finds its own work and does not
commit again. Readers see the version before or the version after, never half of one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from headrace.api.run_report import Records
from headrace.api.run_spec import RunIdentity
from headrace_workers.data.engine import Prepared
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder, full_words, is_full

PREFIX = "headrace."


@dataclass(frozen=True)
class Committed:
    """A commit of this run: what it wrote, as it is read back from the table."""

    version: int
    digest: str
    records: Records
    splits: dict[str, int]


def find_commit(uri: str, identity: RunIdentity, plan_key: str) -> Committed | None:
    """The commit that this very run made of this very plan, if it did."""
    table = _table(uri)
    return _own_commit(table, uri, identity, plan_key) if table else None


def _table(uri: str) -> DeltaTable | None:
    return DeltaTable(address(uri)) if DeltaTable.is_deltatable(address(uri)) else None


def _own_commit(table: DeltaTable, uri: str, identity: RunIdentity, plan_key: str) -> Committed | None:
    done = table.transaction_version(application(identity))
    if done is None or done < identity.run:
        return None
    # The log's files are read by name: DeltaTable.history() numbers commits wrongly when another writer commits meanwhile.
    log = Folder(uri).sub("_delta_log")
    wanted = {"uid": identity.uid, "run": str(identity.run), "plan": plan_key}
    for version in range(table.version(), -1, -1):
        name = f"{version:020d}.json"
        if not log.exists(name):
            return None
        for line in log.read(name).splitlines():
            entry = json.loads(line).get("commitInfo", {})
            if all(entry.get(PREFIX + key) == value for key, value in wanted.items()):
                return _committed(version, entry)
    return None


def application(identity: RunIdentity) -> str:
    """The name by which an object commits: of its transactions a table takes each once, in order."""
    return f"headrace.dev/{identity.uid}"


def commit(uri: str, identity: RunIdentity, plan_key: str, prepared: Prepared) -> Committed:
    """Writes the records as the table's new version, unless this run has done so."""
    table = _table(uri)
    if table and (found := _own_commit(table, uri, identity, plan_key)):
        return found
    metadata = {
        "uid": identity.uid,
        "run": str(identity.run),
        "plan": plan_key,
        "pipeline": f"{identity.namespace}/{identity.name}",
        "digest": prepared.digest,
        "records": prepared.records.model_dump_json(),
        "splits": json.dumps(prepared.splits),
    }
    properties = CommitProperties(
        custom_metadata={PREFIX + name: value for name, value in metadata.items()},
        # Two heads of one run can meet here; the table lets one transaction of an application through.
        app_transactions=[Transaction(app_id=application(identity), version=identity.run)],
    )
    try:
        write_deltalake(
            # Written against the very version that was looked through: a twin's commit since then is a conflict.
            table or address(uri),
            pa.RecordBatchReader.from_batches(prepared.schema, prepared.batches()),
            mode="overwrite",
            schema_mode="overwrite",
            commit_properties=properties,
        )
    except CommitFailedError as error:
        if found := find_commit(uri, identity, plan_key):
            return found
        raise RunFault(
            "CommitConflict", f"another writer changed the table {uri} meanwhile: {error}"[:900], retryable=True
        ) from None
    except (DeltaError, OSError) as error:
        if is_full(error):
            raise RunFault("StorageFull", full_words(uri), retryable=True) from None
        raise
    found = find_commit(uri, identity, plan_key)
    if found is None:
        raise RunFault(
            "CommitLost", f"the table {uri} does not show the commit just made; look at its history", retryable=True
        )
    return found


def address(uri: str) -> str:
    """The table's folder as the lake's library spells it: a path where it is local."""
    return "/" + uri.removeprefix("file:").lstrip("/") if uri.startswith("file:") else uri


def _committed(version: int, entry: Mapping[str, Any]) -> Committed:
    return Committed(
        version=version,
        digest=entry[PREFIX + "digest"],
        records=Records.model_validate_json(entry[PREFIX + "records"]),
        splits=json.loads(entry[PREFIX + "splits"]),
    )
