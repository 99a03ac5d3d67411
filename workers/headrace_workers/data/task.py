"""What one task does: one stage's works on one shard, batch after batch, in any process of the cluster.

It never raises a fault across processes: it answers with a value, and the engine raises.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.data_pipeline import Source
from headrace.api.run_report import Records
from headrace_workers.data import pieces, privacy, quarantine, sources
from headrace_workers.data.accounting import added
from headrace_workers.data.pieces import Manifest, PieceWriter
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.repairs import Repairs
from headrace_workers.data.replacing import Replaced, replaced
from headrace_workers.data.sealed import SealedFolder
from headrace_workers.data.sources.shard import Shard
from headrace_workers.data.stage import Stage
from headrace_workers.data.stage_rates import peak_memory_bytes
from headrace_workers.data.steps import BARRIERS, MAPS
from headrace_workers.data.steps.step import Outcome
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder, full_words, is_full

TARGET = "label"
MOST_CLASSES = 10_000
BAD_RECORDS_A_FILE = 1000


@dataclass(frozen=True)
class Assignment:
    """One shard and one stage."""

    storage: str
    folder: str
    source: Source
    shard: Shard
    position: int
    stage: Stage
    decision: Any = None
    seal: bytes = field(default=b"", repr=False)
    table: str = ""
    """Where the last stage's records are written as files of the table; empty, they are pieces as others."""
    repairs: str = ""
    """The file of repaired records, beside the pieces; empty if there are none."""

    @property
    def name(self) -> str:
        """The name of the piece to make."""
        return pieces.name_of(self.stage.number, self.position)


@dataclass(frozen=True)
class Failed:
    """Why a task could not be done."""

    reason: str
    message: str
    retryable: bool


def run(assignment: Assignment) -> Manifest | Failed:
    """Makes the piece, or finds it made, and answers with its manifest."""
    try:
        folder = SealedFolder(Folder(assignment.storage).sub(assignment.folder).uri, assignment.seal)
        return pieces.finished(folder, assignment.name) or _made(assignment, folder)
    except RunFault as fault:
        message = privacy.quiet(fault.message) if assignment.stage.private else fault.message
        return Failed(fault.reason, message, fault.retryable)
    except OSError as error:
        if is_full(error):
            return Failed("StorageFull", full_words(assignment.storage), True)
        return Failed("StorageFailed", f"{assignment.shard.name}: {type(error).__name__}: {error}"[:900], True)
    except Exception as error:
        if not assignment.stage.private:
            raise
        fault = privacy.unexpected(error)
        return Failed(fault.reason, fault.message, fault.retryable)


@dataclass
class _Progress:
    records: Records = field(default_factory=Records)
    rows_in: int = 0
    bad_in: int = 0
    collapsed: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    classes: set[int | str] | None = field(default_factory=set)


def _made(assignment: Assignment, folder: Folder) -> Manifest:
    stage, progress, began = assignment.stage, _Progress(), time.monotonic()
    table_folder = Folder(assignment.table) if assignment.table and not stage.closes else None
    writer, bad = PieceWriter(folder, assignment.name, table_folder), _BadRecords(assignment)
    hiding = privacy.Hiding.of(stage.private, stage.private[stage.hidden :])
    measurements: list[pa.Table] = []
    done = Replaced()
    for part, batches in _parts(assignment, folder, done):
        made: list[pa.Table] = []
        unchanged = bool(part) and table_folder is None
        for table, bad_already in batches:
            bad.add(hiding.hidden(bad_already))
            progress.bad_in += len(bad_already)
            progress.records = added(
                progress.records, Records(quarantined=len(bad_already), read=_read(stage, table, bad_already))
            )
            for outcome, hidden, of_windows in _outcomes(assignment, table, progress.rows_in):
                bad.add(hiding.after(hidden).hidden(outcome.bad))
                progress.records = added(progress.records, _account(outcome, of_windows))
                progress.collapsed += outcome.collapsed
                last = outcome.table
            progress.rows_in += table.num_rows
            made.append(last)
            unchanged &= last is table
            if stage.closes and last.num_rows:
                barrier = BARRIERS[stage.closes.name]
                measurements.append(barrier.measure(last, stage.closes.settings, stage.closes.context))
            if not stage.closes:
                _summarise(last, progress)
        if unchanged:
            writer.keep(part, sum(each.num_rows for each in made))
        else:
            for each in made:
                writer.add(each)
    bad.flush()
    writer.measure(measurements)
    return writer.close(
        Manifest(
            records=progress.records.model_copy(update={"replayed": done.records}),
            replaced=tuple(done.sources),
            first_bad=bad.first,
            content=""
            if stage.number
            else sources.reader(assignment.source).digest(assignment.source, assignment.shard),
            splits=progress.splits,
            collapsed=progress.collapsed,
            classes=None if progress.classes is None else tuple(sorted(progress.classes)),
            rows_in=progress.rows_in + progress.bad_in,
            seconds=time.monotonic() - began,
            memory_bytes=peak_memory_bytes(),
        )
    )


def _account(outcome: Outcome, of_windows: bool) -> Records:
    if of_windows:
        dropped = len(outcome.bad) + outcome.filtered + outcome.duplicates
        return Records(dropped_windows=dropped, augmented=outcome.augmented)
    return Records(
        quarantined=len(outcome.bad),
        filtered=outcome.filtered,
        duplicates=outcome.duplicates,
        augmented=outcome.augmented,
    )


def _read(stage: Stage, table: pa.Table, bad: tuple[BadRecord, ...]) -> int:
    return 0 if stage.number else int(table.num_rows) + len(bad)


Batch = tuple[pa.Table, tuple[BadRecord, ...]]


def _parts(assignment: Assignment, folder: Folder, done: Replaced) -> Iterator[tuple[str, Iterable[Batch]]]:
    """The batches by the part of the piece before that they are of; those of the source are of none."""
    if assignment.stage.number == 0:
        source, shard = assignment.source, assignment.shard
        read = sources.reader(source).read(source, shard)
        if assignment.repairs:
            read = replaced(read, source, shard, Repairs.from_bytes(folder.read(assignment.repairs)), done)
        for batch in read:
            yield "", ((batch.table, batch.bad),)
        return
    before = pieces.name_of(assignment.stage.number - 1, assignment.position)
    manifest = pieces.finished(folder, before)
    if manifest is None:
        raise RunFault(
            "StorageFailed", f"the piece {before} of this run has gone from {folder.uri}; run it again", retryable=True
        )
    for part in manifest.parts:
        yield part, ((table, ()) for table in pieces.batches_of(folder, part))


def _outcomes(assignment: Assignment, table: pa.Table, rows_before: int) -> Iterator[tuple[Outcome, int, bool]]:
    """What each work made of the table, with how many of the private works were done, and whether rows were windows."""
    outcome, stage, hidden = Outcome(table), assignment.stage, 0
    yield outcome, hidden, False
    if stage.opens:
        barrier = BARRIERS[stage.opens.name]
        outcome = barrier.apply(
            outcome.table, stage.opens.settings, assignment.decision, rows_before, stage.opens.context
        )
        yield outcome, hidden, stage.opens.of_windows
    for work in stage.maps:
        outcome = MAPS[work.name].apply(outcome.table, work.settings, work.context)
        hidden += work.rewrites
        yield outcome, hidden, work.of_windows


def _summarise(table: pa.Table, progress: _Progress) -> None:
    names = (
        table["split"] if "split" in table.column_names else pa.chunked_array([["train"] * table.num_rows], pa.string())
    )
    for entry in pc.value_counts(names).to_pylist():
        split = entry["values"] or "none"
        progress.splits[split] = progress.splits.get(split, 0) + entry["counts"]
    if progress.classes is None or TARGET not in table.column_names:
        progress.classes = None
        return
    target = table[TARGET]
    if not (
        pa.types.is_integer(target.type) or pa.types.is_string(target.type) or pa.types.is_large_string(target.type)
    ):
        progress.classes = None
        return
    progress.classes.update(value for value in pc.unique(target).to_pylist() if value is not None)
    if len(progress.classes) > MOST_CLASSES:
        progress.classes = None


class _BadRecords:
    """Bad records on their way to the quarantine, a file for every thousand."""

    def __init__(self, assignment: Assignment) -> None:
        self._storage, self._version = Folder(assignment.storage), assignment.shard.version
        self._name = assignment.name
        self._held: list[BadRecord] = []
        self._files = 0
        self.first = ""

    def add(self, bad: tuple[BadRecord, ...]) -> None:
        if bad and not self.first:
            self.first = str(bad[0])[:300]
        self._held.extend(bad)
        while len(self._held) >= BAD_RECORDS_A_FILE:
            self._write(BAD_RECORDS_A_FILE)

    def flush(self) -> None:
        if self._held:
            self._write(len(self._held))

    def _write(self, count: int) -> None:
        quarantine.write(self._storage, f"{self._name}-{self._files:04d}", self._held[:count], self._version)
        self._held = self._held[count:]
        self._files += 1
