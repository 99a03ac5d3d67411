"""What a reader does to messages: makes records of them, then the steps before deduplicate, and beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.run_report import Records
from headrace_workers.data import privacy
from headrace_workers.data.accounting import added
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.recipe import Work
from headrace_workers.data.sources.json_objects import decoded
from headrace_workers.data.steps import MAPS, equal_records
from headrace_workers.data.stream.columns import columns_of
from headrace_workers.data.stream.messages import Reading
from headrace_workers.data.stream.parts import HIDDEN, SIGNATURE, TIME, Offsets, Part
from headrace_workers.data.stream.plan import StreamPlan


class Worker:
    """Does the steps of one pipeline, the same to the same messages, in any process that has its keys."""

    def __init__(self, plan: StreamPlan) -> None:
        """RunFault if a key is missing."""
        self._plan = plan
        self._hiding = privacy.Hiding.of(plan.private, plan.private)

    @property
    def is_private(self) -> bool:
        """Whether it hides values."""
        return bool(self._plan.private)

    def part(self, begins: Offsets, reading: Reading, known: pa.Schema) -> Part:
        """The records of the messages, after the steps that come before it is known which are equal to earlier ones."""
        table, bad, discovered = self._records(reading, known)
        newest = _newest(table, reading)
        account = Records(read=reading.messages, quarantined=len(bad))
        done = _Done(table, self._hiding.hidden(bad), account, self._hiding)
        done.do(self._plan.before)
        if dedupe := self._plan.deduplicate:
            visible = done.table.drop_columns([TIME])
            signatures = equal_records.signatures(visible, dedupe.settings.exact, dedupe.context.place)
            done.table = done.table.append_column(SIGNATURE, signatures)
        done.do(self._plan.beside)
        kept, invented = self._without_invented(done.table, table, discovered)
        return Part(
            begins=begins, offsets=reading.offsets, table=kept, discovered=invented, records=done.account, bad=done.bad,
            newest=newest, high=reading.high, trouble=reading.trouble,
        )  # fmt: skip

    def finish(self, table: pa.Table) -> tuple[pa.Table, tuple[BadRecord, ...], Records]:
        """Records that are equal to none before them, after the steps that follow deduplicate."""
        earlier = sum(work.rewrites for work in (*self._plan.before, *self._plan.beside)) if self._plan.private else 0
        done = _Done(table, (), Records(), self._hiding.after(earlier))
        done.do(self._plan.after)
        return done.table, done.bad, done.account

    def _records(self, reading: Reading, known: pa.Schema) -> tuple[pa.Table, tuple[BadRecord, ...], pa.Schema]:
        places = list(chain.from_iterable(zip(repeat(name), taken.offsets) for name, taken in reading.taken.items()))
        times = np.fromiter(chain.from_iterable(t.times for t in reading.taken.values()), np.int64, len(places)) * 1000
        texts = list(chain.from_iterable(taken.values for taken in reading.taken.values()))
        good, bad = decoded(enumerate(texts), lambda place: _position(places[place]))
        made = columns_of([row for _, row in good], known)
        at = np.fromiter((place for place, _ in good), np.int64, len(good))
        for row, misfit in sorted(made.misfits.items()):
            place = good[row][0]
            bad.append(
                BadRecord("source", misfit.code, misfit.message, _position(places[place]), good[row][1], misfit.column)
            )
        at = at[list(made.rows)]
        discovered = pa.schema([field for field in made.table.schema if field.name not in known.names])
        table = _with_id(made.table, [places[place] for place in at])
        table = table.append_column(TIME, pa.array(times[at]))
        for name in self._plan.needed:
            if name not in table.column_names:
                kind = known.field(name).type if name in known.names else pa.string()
                table = table.append_column(name, pa.nulls(table.num_rows, kind))
        return table, tuple(bad), discovered

    def _without_invented(self, table: pa.Table, read: pa.Table, discovered: pa.Schema) -> tuple[pa.Table, pa.Schema]:
        """The table without columns that have no value, and the types of those that a step gave their first."""
        empty = [
            name
            for name in table.column_names
            if name not in (*HIDDEN, "id") and table[name].null_count == table.num_rows
        ]
        table = table.drop_columns(empty)
        given = [name for name in self._plan.needed if name in table.column_names and name not in discovered.names]
        return table, pa.schema([*discovered, *(read.schema.field(name) for name in given)])


@dataclass
class _Done:
    """A table on its way through steps, and what they left out of it."""

    table: pa.Table
    bad: tuple[BadRecord, ...]
    account: Records
    hiding: privacy.Hiding

    def do(self, works: Sequence[Work]) -> None:
        hidden = 0
        for work in works:
            outcome = MAPS[work.name].apply(self.table, work.settings, work.context)
            hidden += work.rewrites
            self.table = outcome.table
            self.bad += self.hiding.after(hidden).hidden([_shown(bad) for bad in outcome.bad])
            self.account = added(self.account, Records(quarantined=len(outcome.bad), filtered=outcome.filtered))
        self.hiding = self.hiding.after(hidden)


def _shown(bad: BadRecord) -> BadRecord:
    if isinstance(bad.record, str):
        return bad
    return replace(bad, record={name: value for name, value in bad.record.items() if name not in HIDDEN})


def _position(place: tuple[str, int]) -> str:
    return f"{place[0]}/{place[1]}"


def _with_id(table: pa.Table, places: Sequence[tuple[str, int]]) -> pa.Table:
    """The table with `id` first: the record's own, or topic/partition/offset."""
    made = [_position(place) for place in places]
    if "id" not in table.column_names:
        return table.add_column(0, "id", pa.array(made, pa.string()))
    made_ids = pc.coalesce(table["id"].combine_chunks(), pa.array(made, pa.string()))
    return table.drop_columns("id").add_column(0, "id", made_ids)


def _newest(table: pa.Table, reading: Reading) -> dict[str, int]:
    return {name: max(taken.times) * 1000 for name, taken in reading.taken.items() if taken.times}
