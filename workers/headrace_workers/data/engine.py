"""The run itself: stage after stage over all shards, decisions between them, one account at the end.

It knows neither Ray nor the table: `spread` runs the tasks, and the caller commits what comes out. Called again with the
same spec after being killed, it reuses every finished piece.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.api.data_pipeline import DataPipelineSpec
from headrace.api.run_report import BatchProgress, Progress, Records, Replay
from headrace_workers.data import pieces, quarantine, recipe, sealed, sources
from headrace_workers.data.accounting import added, require_balanced, require_read, require_some, total
from headrace_workers.data.final_form import final_form
from headrace_workers.data.fitted import decoded, in_order, made_of_text
from headrace_workers.data.images import shape_of
from headrace_workers.data.measurements import Measurements
from headrace_workers.data.pieces import Manifest
from headrace_workers.data.repairs import Repairs, declared, replayed
from headrace_workers.data.sealed import SealedFolder
from headrace_workers.data.sources import files
from headrace_workers.data.sources.shard import Shard
from headrace_workers.data.spread import Spread
from headrace_workers.data.stage import Stage, stages
from headrace_workers.data.stage_rates import StageRates
from headrace_workers.data.steps import BARRIERS
from headrace_workers.data.steps.step import Decision
from headrace_workers.data.task import Assignment, Failed, run
from headrace_workers.faults import RunFault
from headrace_workers.preprocessing import FittedStep, Preprocessing
from headrace_workers.storage import Folder

STAGES = "stages"
REPAIRS = "repairs.jsonl"
FEATURES = ("image", "features", "embedding", "text")

Tell = Callable[[str, Progress, Records, BatchProgress], None]
"""Hears the stage, how far it is, the account so far, and how fast all stages are."""


@dataclass(frozen=True)
class Prepared:
    """All records after the last step, still in pieces, ready to be committed."""

    records: Records
    splits: dict[str, int]
    digest: str
    preprocessing: Preprocessing
    schema: pa.Schema
    replay: Replay | None
    _folder: Folder
    _manifests: tuple[Manifest, ...]

    @property
    def files(self) -> tuple[tuple[str, int, int], ...]:
        """Name, rows and bytes of each file that is in its table's folder already."""
        return tuple(
            (name, *size)
            for manifest in self._manifests
            for name, size in zip(manifest.parts, manifest.sizes, strict=True)
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The records in the order of the source, each with id and split."""
        for manifest in self._manifests:
            for table in pieces.batches(self._folder, manifest):
                yield from final_form(table).cast(self.schema).to_batches()


@dataclass(frozen=True)
class Plan:
    """What will be done, known before the first record is read."""

    spec: DataPipelineSpec
    shards: Sequence[Shard]
    stages: Sequence[Stage]
    key: str
    repairs: Repairs = field(default_factory=Repairs)

    @property
    def is_private(self) -> bool:
        """Whether it hides values."""
        return any(stage.private for stage in self.stages)


def planned(spec: DataPipelineSpec) -> Plan:
    """The plan of a spec; RunFault if it cannot be done or there is nothing to read."""
    recipe.works(spec)
    shards = sources.reader(spec.source).shards(spec.source)
    typed = spec.source.files is not None and files.have_one_schema(spec.source, shards)
    made = stages(recipe.works(spec, typed=typed))
    repairs = declared(spec)
    return Plan(spec, shards, made, recipe.plan_key(spec, shards, repairs.digest), repairs)


def prepare(
    plan: Plan, storage: Folder, spread: Spread, tell: Tell, seal: bytes = b"", table: Folder | None = None,
    channels: Callable[[], int] = lambda: 1,
) -> Prepared:  # fmt: skip
    """Does all stages and returns the records, counted; what is on its way lies encrypted where there is a seal.

    With a `table`, the records are files in that folder then. `channels` is how many tasks run at the same time.
    """
    folder_name = sealed.folder_name(f"{STAGES}/{plan.key[:16]}", seal)
    folder = SealedFolder(storage.sub(folder_name).uri, seal)
    if plan.repairs.lines:
        folder.write(REPAIRS, plan.repairs.to_bytes())
    decision, account, first_bad, content = Decision(()), Records(), "", list[str]()
    collapsed, rates, replay = 0, StageRates(channels), None
    fitted: dict[str, tuple[FittedStep, ...]] = {}
    manifests: list[Manifest] = []
    for stage in plan.stages:
        decided = decision.by_shard or (None,) * len(plan.shards)
        assignments = [
            Assignment(
                storage.uri,
                folder_name,
                plan.spec.source,
                shard,
                position,
                stage,
                decided[position],
                seal,
                table.uri if table else "",
                REPAIRS if plan.repairs.lines else "",
            )
            for position, shard in enumerate(plan.shards)
        ]
        rates.begin(stage.title)
        manifests = _done(spread, assignments, partial(_tell_total, tell, stage.title, account, rates), rates)
        account = total((account, *(manifest.records for manifest in manifests)))
        collapsed += sum(manifest.collapsed for manifest in manifests)
        first_bad = first_bad or next((manifest.first_bad for manifest in manifests if manifest.first_bad), "")
        content = content or [manifest.content for manifest in manifests]
        require_read(account, plan.spec.source)
        replay = replay or replayed(plan.repairs, [name for manifest in manifests for name in manifest.replaced])
        quarantine.require_few(account.quarantined, account.read, plan.spec.quarantine.max_fraction, first_bad)
        if stage.closes:
            decision = _decision(stage, folder, manifests)
            fitted[stage.closes.context.place] = decision.fitted
    rows = sum(manifest.rows for manifest in manifests)
    account = account.model_copy(update={"written": rows - account.augmented + collapsed + account.dropped_windows})
    require_some(account, rows)
    require_balanced(account)
    first = _first(folder, manifests, table)
    steps = in_order(recipe.works(plan.spec), fitted)
    return Prepared(
        records=account,
        splits=_splits(manifests),
        digest=recipe.dataset_digest(plan.spec, content, plan.repairs.digest),
        preprocessing=Preprocessing(
            features=(
                features := next(
                    (name for name in (*made_of_text(steps), *decoded(steps), *FEATURES) if name in first.column_names),
                    "",
                )
            ),
            shape=made_of_text(steps).get(features) or _shape(first, features),
            classes=_classes(manifests),
            steps=steps,
        ),
        schema=first.schema,
        replay=replay,
        _folder=folder,
        _manifests=tuple(manifests),
    )


def forget_pieces(storage: Folder) -> None:
    """Removes what only an unfinished run needs."""
    storage.delete(STAGES)


def _done(
    spread: Spread, assignments: Sequence[Assignment], tell: Callable[[Progress, Records], None], rates: StageRates
) -> list[Manifest]:
    manifests: dict[int, Manifest] = {}
    clock = _Clock(sum(a.shard.size_bytes for a in assignments))
    tell(clock.progress(0, 0), Records())
    for index, result in spread(run, assignments):
        if isinstance(result, Failed):
            raise RunFault(result.reason, result.message, retryable=result.retryable)
        manifests[index] = result
        rates.add(result)
        clock.add(
            result.rows + result.records.quarantined + result.records.filtered + result.records.duplicates,
            assignments[index].shard.size_bytes,
        )
        tell(
            clock.progress(len(manifests), len(assignments)), total(manifest.records for manifest in manifests.values())
        )
    return [manifests[index] for index in range(len(assignments))]


def _tell_total(tell: Tell, title: str, before: Records, rates: StageRates, progress: Progress, now: Records) -> None:
    tell(title, progress, added(before, now), rates.told(progress.total or 0))


class _Clock:
    """Estimates from the records done, and the share of the bytes they came from, how many are left."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._started = time.monotonic()
        self._records = 0
        self._bytes = 0

    def add(self, records: int, size_bytes: int) -> None:
        self._records += records
        self._bytes += size_bytes

    def progress(self, shards_done: int, shards: int) -> Progress:
        seconds = max(time.monotonic() - self._started, 1e-3)
        share = self._bytes / self._total_bytes if self._total_bytes else (shards_done / shards if shards else 0.0)
        rate = self._records / seconds
        expected = round(self._records / share) if share else 0
        left = (expected - self._records) / rate if rate and expected else None
        return Progress(step=self._records, total=expected, unit="records", rate=round(rate, 1), eta_seconds=left)


def _decision(stage: Stage, folder: Folder, manifests: Sequence[Manifest]) -> Decision:
    assert stage.closes is not None
    measured = Measurements(folder, [pieces.name_of(stage.number, position) for position in range(len(manifests))])
    if measured.known is None:
        raise RunFault(
            "EmptyDataset",
            f"no record is left before {stage.closes.context.place}; check the source, or loosen the steps that drop records",
        )
    return BARRIERS[stage.closes.name].decide(measured, stage.closes.settings, stage.closes.context)


def _first(folder: Folder, manifests: Sequence[Manifest], table: Folder | None) -> pa.Table:
    """Some records as others read them."""
    if table:
        name = next(manifest.parts[0] for manifest in manifests if manifest.rows)
        return pq.ParquetFile(pa.BufferReader(table.read(name))).read_row_group(0)
    return next(
        final_form(each) for manifest in manifests for each in pieces.batches(folder, manifest) if each.num_rows
    )


def _splits(manifests: Sequence[Manifest]) -> dict[str, int]:
    names = sorted({name for manifest in manifests for name in manifest.splits})
    return {name: sum(manifest.splits.get(name, 0) for manifest in manifests) for name in names}


def _classes(manifests: Sequence[Manifest]) -> tuple[int | str, ...] | None:
    found = [manifest.classes for manifest in manifests if manifest.rows]
    if any(classes is None for classes in found):
        return None
    return tuple(sorted({value for classes in found for value in classes or ()})) or None


def _shape(table: pa.Table, features: str) -> tuple[int, ...] | None:
    if not features:
        return None
    first = table[features][0].as_py() if features == "image" else None
    return shape_of(table.schema.field(features), len(first) if isinstance(first, list) else None)
