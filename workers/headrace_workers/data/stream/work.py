"""What a reader does to messages: makes records of them, then the steps before deduplicate, and beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.quarantine_line import QuarantineLine
from headrace.api.run_report import Records
from headrace_workers.data import privacy
from headrace_workers.data.accounting import added
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.recipe import Work
from headrace_workers.data.remaking import without_made
from headrace_workers.data.sources.json_objects import decoded
from headrace_workers.data.steps import MAPS, equal_records, event_times
from headrace_workers.data.stream.columns import columns_of
from headrace_workers.data.stream.messages import Given, Reading, Taken
from headrace_workers.data.stream.parts import HIDDEN, POSITION, SIGNATURE, TIME, Offsets, Part
from headrace_workers.data.stream.plan import AFTER_EQUAL, StreamPlan


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
        good, bad = decoded(enumerate(reading.values), lambda place: reading.ids[place].as_py())
        made = columns_of([row for _, row in good], known)
        for row, misfit in sorted(made.misfits.items()):
            place, record = good[row]
            position = reading.ids[place].as_py()
            bad.append(BadRecord("source", misfit.code, misfit.message, position, record, misfit.column, at=position))
        at = np.fromiter((place for place, _ in good), np.int64, len(good))[made.rows]
        positions = reading.ids.take(pa.array(at))
        table = self._with_needed(_with_id(made.table, positions), known).append_column(POSITION, positions)
        discovered = pa.schema([field for field in made.table.schema if field.name not in known.names])

        account = Records(read=len(reading.values), quarantined=len(bad))
        done = _Done(table, self._hiding.hidden(bad), account, self._hiding)
        newest = self._timed(done, reading, at)
        done.do(self._plan.before)
        if dedupe := self._plan.deduplicate:
            visible = done.table.drop_columns([TIME, POSITION])
            signatures = equal_records.signatures(visible, dedupe.settings.exact, dedupe.context.place)
            done.table = done.table.append_column(SIGNATURE, signatures)
        done.do(self._plan.beside)
        kept = _without_empty(done.table)
        given = [name for name in self._plan.needed if name in kept.column_names and name not in discovered.names]
        return Part(
            begins=begins, offsets=reading.offsets, table=kept, records=done.account, bad=done.bad,
            discovered=pa.schema([*discovered, *(table.schema.field(name) for name in given)]),
            newest=newest, high=reading.high, trouble=reading.trouble,
        )  # fmt: skip

    def replay(self, lines: Sequence[QuarantineLine], known: pa.Schema, now_milliseconds: int) -> Part:
        """Repaired records after the same steps, each as the message that it was; a record without a time of its own happens now."""
        values = [_text_of(line, known.names) for line in lines]
        times = [now_milliseconds] * len(lines)
        names = tuple(line.place for line in lines)
        return self.part({}, Given({"": Taken([], times, values)}, {}, names=names), known)

    def finish(self, table: pa.Table, group: int) -> tuple[pa.Table, tuple[BadRecord, ...], Records]:
        """A table after a group of steps that waits for the head, the bad records, and the account."""
        if group == AFTER_EQUAL:
            table = self._with_needed(table, pa.schema([]))
        done = _Done(table, (), Records(), self._hiding.after(self._hidden_before(group)))
        done.do(self._plan.groups[group])
        return _without_empty(done.table), done.bad, done.account

    def conceal(self, bad: tuple[BadRecord, ...], group: int) -> tuple[BadRecord, ...]:
        """Records that no group from this one on will see, as the quarantine may have them."""
        return self._hiding.after(self._hidden_before(group)).hidden(bad)

    def _hidden_before(self, group: int) -> int:
        earlier = (*self._plan.before, *self._plan.beside, *chain.from_iterable(self._plan.groups[:group]))
        return sum(work.rewrites for work in earlier) if self._plan.private else 0

    def _with_needed(self, table: pa.Table, known: pa.Schema) -> pa.Table:
        """The table with the columns that steps name, missing values where no record has any."""
        for name in self._plan.needed:
            if name not in table.column_names:
                kind = known.field(name).type if name in known.names else pa.string()
                table = table.append_column(name, pa.nulls(table.num_rows, kind))
        return table

    def _timed(self, done: "_Done", reading: Reading, at: np.ndarray) -> dict[str, int]:
        """Adds when records happened, without those that do not say so; the newest time of each partition.

        Where no column says it, it is the message's own time.
        """
        times = reading.times[at]
        if timing := self._plan.timing:
            readable = event_times.read(done.table[timing.settings.column])[1]
            outcome, times = event_times.apply(done.table, timing.settings.column, timing.context)
            done.take(outcome.table, outcome.bad, hidden=0)
            at = at[readable]
        done.table = done.table.append_column(TIME, pa.array(times, pa.int64()))
        return reading.newest(at, times)


@dataclass
class _Done:
    """A table on its way through steps, and what they left out of it."""

    table: pa.Table
    bad: tuple[BadRecord, ...]
    account: Records
    hiding: privacy.Hiding

    def do(self, works: Sequence[Work]) -> None:
        """Does the works; what is still to be hidden becomes less."""
        hidden = 0
        for work in works:
            outcome = MAPS[work.name].apply(self.table, work.settings, work.context)
            hidden += work.rewrites
            self.take(outcome.table, outcome.bad, hidden, outcome.filtered)
        self.hiding = self.hiding.after(hidden)

    def take(self, table: pa.Table, bad: Sequence[BadRecord], hidden: int, filtered: int = 0) -> None:
        """Takes what a work made; so many of the works that hide were done."""
        self.table = table
        self.bad += self.hiding.after(hidden).hidden([_shown(each) for each in bad])
        self.account = added(self.account, Records(quarantined=len(bad), filtered=filtered))


def _shown(bad: BadRecord) -> BadRecord:
    if isinstance(bad.record, str):
        return bad
    shown = {name: value for name, value in bad.record.items() if name not in HIDDEN}
    return replace(bad, record=shown, at=bad.record.get(POSITION, ""))


def _text_of(line: QuarantineLine, known: Sequence[str]) -> bytes:
    columns = line.columns
    text = line.record if columns is None else json.dumps(without_made(columns, known))
    return str(text).encode("utf-8", "surrogatepass")


def _with_id(table: pa.Table, made: pa.Array) -> pa.Table:
    """The table with `id` first: the record's own, or topic/partition/offset."""
    if "id" not in table.column_names:
        return table.add_column(0, "id", made)
    return table.drop_columns("id").add_column(0, "id", pc.coalesce(table["id"].combine_chunks(), made))


def _without_empty(table: pa.Table) -> pa.Table:
    """The table without columns that have no value, which would give them a type that nobody chose."""
    names = (name for name in table.column_names if name not in (*HIDDEN, "id"))
    return table.drop_columns([name for name in names if table[name].null_count == table.num_rows])
