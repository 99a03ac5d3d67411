"""Keeps epochs, in this order: bad records, what is remembered, the state, and last the table.

Killed anywhere, the next head finds the state that the table's last commit names, and reads from there; what was written
beyond is deleted, as if it had never been.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.run_report import RaisedAlerts, Records
from headrace.api.run_spec import RunIdentity
from headrace_workers.data import quarantine, recipe
from headrace_workers.data.accounting import added, require_balanced
from headrace_workers.data.stream import preparing
from headrace_workers.data.stream.epoch import Epoch, Memory
from headrace_workers.data.stream.lake import Lake
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.data.stream.state import HeldFile, State, States, Writer, named, text_of
from headrace_workers.storage import Folder

BAD, LATE = "bad", "late"
LATE_FOLDER = f"{quarantine.FOLDER}/late"
VACUUM_COMMITS = 500

logger = logging.getLogger(__name__)


class Keeper:
    """The states of one Stream and its table, as one head writes them."""

    def __init__(self, plan: StreamPlan, identity: RunIdentity, storage: Folder, publish: str) -> None:
        """Finds out how far earlier heads came, and deletes what they did not finish; RunFault if that cannot be known."""
        self._plan, self._storage = plan, storage
        self.lake = Lake(publish, identity)
        self._states = States(storage)
        self._writer = f"{identity.attempt}x{secrets.token_hex(4)}"
        self._recipe = recipe.dataset_digest(plan.spec, [])
        self._columns: list[str] = []
        self._last_commit = ""
        self.state = self._restored(identity)
        self._writers = (*self.state.writers, Writer(name=self._writer, begins=self.state.epoch + 1))
        self.files = len(self.lake.sizes)

    @property
    def digest(self) -> str:
        """The digest of recipe, code and offsets."""
        return hashlib.sha256(json.dumps([self._recipe, sorted(self.state.offsets.items())]).encode()).hexdigest()

    def memory(self) -> Memory:
        """What the state keeps of records that came."""
        return self._states.memory(self.state, self._plan)

    def name(self, kind: str, ending: str) -> str:
        """The name of a file of the next epoch."""
        return named(kind, self.state.epoch + 1, self._writer, ending)

    def keep(
        self, epoch: Epoch, offsets: Mapping[str, int], known: pa.Schema, newest: Mapping[str, int], watermark: int | None,
        recent: Sequence[tuple[int, int]], alerts: RaisedAlerts,
    ) -> None:  # fmt: skip
        """Writes an epoch, the table last, and forgets what only the one before needed."""
        before, rows, memory = self.state, epoch.rows, epoch.memory
        held = memory.held.records if memory.held else 0
        left = before.records.model_copy(update={"held": 0, "quarantined": before.records.quarantined - epoch.replayed})
        counts = {"held": held, "replayed": before.records.replayed + epoch.replayed}
        records = added(left, epoch.account).model_copy(update=counts)
        require_balanced(records)
        state = State(
            epoch=before.epoch + 1, writer=self._writer, follows=None if rows.num_rows else self._last_commit,
            offsets=before.offsets | dict(offsets), records=records, splits=_counted(before.splits, rows),
            columns=text_of(known), newest=dict(newest), watermark=watermark,
            seen=tuple(run.name for run in memory.seen.runs),
            held=tuple(HeldFile(name=run.name, begins=dict(run.begins)) for run in memory.held.runs) if memory.held else (), detection=memory.detection_file, replayed=memory.replayed.file,
            recent=tuple(recent), writers=self._writers, commits=before.commits + bool(rows.num_rows), alerts=alerts,
            commit_time=datetime.now(UTC).isoformat() if rows.num_rows else before.commit_time,
        )  # fmt: skip
        if epoch.bad:
            quarantine.write(self._storage, self._stem(BAD), epoch.bad)
        if epoch.late:
            quarantine.write(self._storage, f"{LATE}/{self._stem(LATE)}", epoch.late)
        self._states.write(state, epoch.files)
        self.state = state
        if rows.num_rows:
            self._commit(rows)
        self._states.forget(before, state)
        if rows.num_rows:
            self._tidy()

    def _stem(self, kind: str) -> str:
        return self.name(kind, "jsonl").removesuffix(".jsonl")

    def _commit(self, rows: pa.Table) -> None:
        if self._columns != rows.column_names:
            # Before the commit: whoever sees the version must find what goes with it.
            self._columns = rows.column_names
            preparing.save(self._plan, self._columns, self._storage)
        event_time = self._plan.spec.event_time
        self.lake.append(rows, self.state, self.digest, event_time.column if event_time else "")
        self._last_commit = self.state.name

    def _tidy(self) -> None:
        self.lake.compact(self._plan.spec.streaming.compact_files)
        if self.state.commits % VACUUM_COMMITS == 0:
            self.lake.vacuum()
        self.files = len(self.lake.sizes)

    def _restored(self, identity: RunIdentity) -> State:
        last = self.lake.last_commit()
        self._last_commit = last.state if last else ""
        found = self._states.latest(self._last_commit)
        if found is None:
            found = State(epoch=-1, writer=self._writer)
            if last:
                if last.run == identity.run:
                    logger.warning(
                        "the storage has lost the state %s: going on from the table's last commit", last.state
                    )
                # What waited in windows is read again; what is in windows that were written is late then.
                account = last.records if last.run == identity.run else Records()
                account = account.model_copy(update={"read": account.read - account.held, "held": 0})
                timed = self._plan.spec.event_time and self._plan.spec.event_time.column == last.event_time
                found = State(
                    epoch=last.epoch, writer=self._writer, offsets=dict(last.offsets), records=account,
                    splits=dict(last.splits), watermark=last.watermark if timed else None,
                )  # fmt: skip
        self._states.forget_others(found)
        for folder in (self._storage.sub(quarantine.FOLDER), self._storage.sub(LATE_FOLDER)):
            for name in folder.names():
                if name.endswith(".jsonl") and not found.is_valid(name):
                    folder.delete(name)
        return found


def _counted(splits: Mapping[str, int], rows: pa.Table) -> dict[str, int]:
    counted = dict(splits)
    for entry in pc.value_counts(rows["split"]).to_pylist():
        name = entry["values"] or "none"
        counted[name] = counted.get(name, 0) + entry["counts"]
    return counted
