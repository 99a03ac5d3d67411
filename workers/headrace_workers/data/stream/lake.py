"""The table of a Stream: each epoch with rows appends them in one commit, which carries where the stream was read up to.

The commit is an application's transaction, of the object and the epoch, against the version that was looked at: the table
takes one of two heads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from headrace.api.run_report import Records
from headrace.api.run_spec import RunIdentity
from headrace_workers.data.sink import PREFIX, address, application
from headrace_workers.data.steps.numbers import is_number
from headrace_workers.data.stream.compaction import compacted_below
from headrace_workers.data.stream.state import State
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder, full_words, is_full

KEPT = timedelta(days=7)
CONFIGURATION = {
    "delta.logRetentionDuration": f"interval {KEPT.days} days",
    "delta.deletedFileRetentionDuration": f"interval {KEPT.days} days",
}
"""Of a table that this made: how long its older versions can be read."""
TEXTS = {pa.string(), pa.large_string(), pa.string_view()}


@dataclass(frozen=True)
class LastCommit:
    """The last commit of an object's streams: its run, its epoch, its state, and where it was read up to."""

    run: int
    epoch: int
    state: str
    offsets: Mapping[str, int]
    records: Records
    splits: Mapping[str, int]
    watermark: int | None
    event_time: str


class Lake:
    """A Delta table as one head sees it."""

    def __init__(self, uri: str, identity: RunIdentity) -> None:
        """Looks at the table, if it is there."""
        self._uri, self._identity = uri, identity
        self._table = DeltaTable(address(uri)) if DeltaTable.is_deltatable(address(uri)) else None

    @property
    def version(self) -> int | None:
        """The newest version; None before there is a table."""
        return self._table.version() if self._table else None

    @property
    def sizes(self) -> list[int]:
        """The files of that version, in bytes."""
        return pa.table(self._table.get_add_actions())["size_bytes"].to_pylist() if self._table else []

    def last_commit(self) -> LastCommit | None:
        """The last commit of this object, of whatever run; None if there is none."""
        epoch = self._table.transaction_version(application(self._identity)) if self._table else None
        if epoch is None or self._table is None:
            return None
        log = Folder(self._uri).sub("_delta_log")
        for version in range(self._table.version(), -1, -1):
            name = f"{version:020d}.json"
            if not log.exists(name):
                break
            for line in log.read(name).splitlines():
                entry = json.loads(line).get("commitInfo", {})
                if entry.get(PREFIX + "uid") == self._identity.uid and PREFIX + "state" in entry:
                    return LastCommit(
                        run=int(entry[PREFIX + "run"]),
                        epoch=int(entry[PREFIX + "epoch"]),
                        state=entry[PREFIX + "state"],
                        offsets=json.loads(entry[PREFIX + "offsets"]),
                        records=Records.model_validate_json(entry[PREFIX + "records"]),
                        splits=json.loads(entry[PREFIX + "splits"]),
                        watermark=json.loads(entry[PREFIX + "watermark"]),
                        event_time=entry[PREFIX + "eventTime"],
                    )
        raise RunFault(
            "CommitLost",
            f"the table {self._uri} has commits of this stream, and its log has not any more where they were read up to; "
            f"to read the topics from where source.kafka.start says, make a new pipeline",
        )

    def append(self, rows: pa.Table, state: State, digest: str, event_time: str = "") -> int:
        """Commits an epoch's rows and returns the version; RunFault if another head, or another writer, was faster.

        `event_time` is the column that the watermark is of.
        """
        metadata = {
            "uid": self._identity.uid,
            "run": str(self._identity.run),
            "pipeline": f"{self._identity.namespace}/{self._identity.name}",
            "epoch": str(state.epoch),
            "state": state.name,
            "offsets": json.dumps(state.safe_offsets),
            "watermark": json.dumps(state.watermark),
            "eventTime": event_time,
            "digest": digest,
            "records": state.records.model_dump_json(),
            "splits": json.dumps(state.splits),
        }
        try:
            write_deltalake(
                self._table or address(self._uri),
                self._fitted(rows),
                mode="append",
                schema_mode="merge",
                configuration=None if self._table else CONFIGURATION,
                commit_properties=CommitProperties(
                    custom_metadata={PREFIX + name: value for name, value in metadata.items()},
                    app_transactions=[Transaction(app_id=application(self._identity), version=state.epoch)],
                ),
            )
        except CommitFailedError as error:
            raise self._conflict(state.epoch, error) from None
        except (DeltaError, OSError) as error:
            if is_full(error):
                raise RunFault("StorageFull", full_words(self._uri), retryable=True) from None
            raise
        if self._table is None:
            self._table = DeltaTable(address(self._uri))
        return int(self._table.version())

    def compact(self, most_small: int) -> bool:
        """Writes small files as one where there are enough; whether it did."""
        below = compacted_below(self.sizes, most_small)
        if below is None or self._table is None:
            return False
        try:
            self._table.optimize.compact(target_size=below)
        except CommitFailedError:
            # Another writer was faster; there will be as many small files after the next commit.
            self._table.update_incremental()
            return False
        return True

    def vacuum(self) -> None:
        """Deletes files that no version of the last week has."""
        if self._table is not None:
            self._table.vacuum(retention_hours=int(KEPT.total_seconds() // 3600), dry_run=False)

    def _fitted(self, rows: pa.Table) -> pa.Table:
        """The rows in the table's types; RunFault where a column's type has changed."""
        if self._table is None:
            return rows
        there = pa.schema(self._table.schema())
        for place, field in enumerate(rows.schema):
            if field.name not in there.names:
                continue
            wanted = there.field(field.name).type
            if wanted == field.type:
                continue
            alike = (is_number(wanted) and is_number(field.type)) or {wanted, field.type} <= TEXTS
            cast = _cast(rows[field.name], wanted) if alike else None
            if cast is None:
                raise RunFault(
                    "ColumnChanged",
                    f"the column {field.name} holds {field.type} after the steps, and {wanted} in the table {self._uri}; "
                    f"give it another name, undo the step that changed it, or write to another table by a new pipeline",
                )
            rows = rows.set_column(place, pa.field(field.name, wanted), cast)
        return rows

    def _conflict(self, epoch: int, error: Exception) -> RunFault:
        table = DeltaTable(address(self._uri))
        if (table.transaction_version(application(self._identity)) or -1) >= epoch:
            return RunFault(
                "Superseded",
                "another head of this pipeline goes on with the stream; this one has committed nothing more",
                retryable=True,
            )
        return RunFault(
            "CommitConflict", f"another writer changed the table {self._uri} meanwhile: {error}"[:900], retryable=True
        )


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid:
        return None
