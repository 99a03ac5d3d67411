"""Makes an epoch of what readers have read: drops equal records, does the steps that follow, closes windows."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from headrace.api.quarantine_line import QuarantineLine
from headrace.api.run_report import Records
from headrace_workers.data import pieces
from headrace_workers.data.accounting import added, total
from headrace_workers.data.final_form import final_form
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.steps.detection import Detection
from headrace_workers.data.steps.open_windows import entries
from headrace_workers.data.stream.duplicates import Seen, words
from headrace_workers.data.stream.held import Held
from headrace_workers.data.stream.parts import HIDDEN, POSITION, SIGNATURE, TIME, Failed, Offsets, Part
from headrace_workers.data.stream.plan import AFTER_DETECT, AFTER_EQUAL, AFTER_WINDOW, StreamPlan
from headrace_workers.data.stream.replayed import Replayed
from headrace_workers.faults import RunFault

NEVER = -1
"""The watermark before which nothing is late."""
NO_ROWS = pa.table({"id": pa.array([], pa.string()), "split": pa.array([], pa.string())})


@dataclass(frozen=True)
class Memory:
    """What a Stream keeps of records that came: what new ones are compared with, what waits in windows, what scores depend on."""

    seen: Seen
    held: Held | None = None
    detection: Detection | None = None
    detection_file: str = ""
    replayed: Replayed = field(default_factory=Replayed)

    @property
    def names(self) -> tuple[str, ...]:
        """The files that have it."""
        held = self.held.runs if self.held else ()
        return (
            *(run.name for run in (*self.seen.runs, *held)),
            *filter(None, (self.detection_file, self.replayed.file)),
        )


@dataclass
class Epoch:
    """What is on its way to the table, what was left out of it, and what is remembered then.

    `account` has not what waits in windows; `files` are those of the memory that have not been written. `replayed` is how
    many of its records were in the quarantine.
    """

    memory: Memory
    rows: pa.Table = field(default_factory=lambda: NO_ROWS)
    bad: tuple[BadRecord, ...] = ()
    late: tuple[BadRecord, ...] = ()
    account: Records = field(default_factory=Records)
    files: dict[str, bytes | memoryview] = field(default_factory=dict)
    replayed: int = 0


Names = Callable[[str, str], str]
"""The name of a file of this epoch, by its kind and its ending."""
Call = Callable[..., Any]
"""Has a reader do something, by the name of its method: readers have the keys."""


def made(
    plan: StreamPlan, parts: list[Part], memory: Memory, names: Names, call: Call, closed: int | None, reached: int | None,
    begins: Offsets,
) -> Epoch:  # fmt: skip
    """The epoch of these parts, which `begins` where the last one ended; windows were closed up to the watermark `closed`, and are up to `reached`."""
    epoch = Epoch(memory)
    epoch.bad = tuple(bad for part in parts for bad in part.bad)
    epoch.account = total(part.records for part in parts)
    if parts:
        table = pa.concat_tables([part.table for part in parts], promote_options="default")
        table = _without_equal(epoch, plan, table, names)
        table = _finished(epoch, plan, table, AFTER_EQUAL, call)
        epoch.rows = table if plan.window is None else _held(epoch, plan, table, names, call, closed, begins)
    if plan.window is not None:
        epoch.rows = _closed(epoch, plan, names, call, reached)
    rows = epoch.rows.drop_columns([name for name in HIDDEN if name in epoch.rows.column_names])
    missing = [each.name for each in rows.schema if pa.types.is_null(each.type)]
    epoch.rows = final_form(rows.drop_columns(missing))
    if plan.window is None:
        epoch.account = added(epoch.account, Records(written=epoch.rows.num_rows))
    if reached is not None:
        epoch.memory = replace(epoch.memory, seen=epoch.memory.seen.forget(reached))
    epoch.files = {name: content for name, content in epoch.files.items() if name in epoch.memory.names}
    return epoch


def replaying(
    plan: StreamPlan, lines: Sequence[QuarantineLine], part: Part, memory: Memory, names: Names, call: Call,
    closed: int | None, offsets: Offsets,
) -> Epoch:  # fmt: skip
    """The epoch of repaired records alone, of which `part` was made; no window closes with it."""
    replayed = memory.replayed.with_lines(lines, names("replayed", "json"))
    begins = dict(offsets)
    for line in lines:
        # Who begins anew without what is held must read from there, to find the record bad and repaired again.
        name, _, number = line.place.rpartition("/")
        if name in begins and number.isdecimal():
            begins[name] = min(begins[name], int(number))
    epoch = made(plan, [part], replace(memory, replayed=replayed), names, call, closed, None, begins)
    epoch.files[replayed.file] = replayed.content
    epoch.account = epoch.account.model_copy(update={"read": 0})
    epoch.replayed = len(lines)
    return epoch


def _without_equal(epoch: Epoch, plan: StreamPlan, table: pa.Table, names: Names) -> pa.Table:
    if plan.deduplicate is None:
        return table
    first, second = words(table[SIGNATURE].combine_chunks())
    times = table[TIME].to_numpy()
    seen = epoch.memory.seen
    fresh = seen.fresh(first, second, times)
    name = names("seen", "arrow")
    seen = seen.with_run(name, first[fresh], second[fresh], times[fresh])
    epoch.files |= {run.name: pieces.to_bytes(run.table()) for run in seen.runs if run.name == name}
    epoch.memory = replace(epoch.memory, seen=seen)
    epoch.account = added(epoch.account, Records(duplicates=len(fresh) - int(fresh.sum())))
    table = table.drop_columns([SIGNATURE])
    return table if fresh.all() else table.filter(pa.array(fresh))


def _finished(epoch: Epoch, plan: StreamPlan, table: pa.Table, group: int, call: Call) -> pa.Table:
    """The table after a group of steps, which a reader does, as it has the keys."""
    if not plan.groups[group] or not table.num_rows:
        return table
    table, bad, account = _answered(call("finish", table, group))
    epoch.bad += bad
    if group != AFTER_EQUAL:
        account = Records(dropped_windows=account.filtered + account.quarantined)
    epoch.account = added(epoch.account, account)
    return table


def _answered(answer: Any) -> Any:
    if isinstance(answer, Failed):
        raise RunFault(answer.reason, answer.message, retryable=answer.retryable)
    return answer


def _held(
    epoch: Epoch, plan: StreamPlan, table: pa.Table, names: Names, call: Call, closed: int | None, begins: Offsets
) -> pa.Table:
    """Puts the records into their windows; those whose windows are closed are late."""
    assert plan.window is not None
    assert epoch.memory.held is not None
    for name in plan.needed:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    times, place = table[TIME].to_numpy(), plan.window.context.place
    found, late = entries(table, times, plan.window.settings, NEVER if closed is None else closed, place)
    name = names("held", "arrow")
    held = epoch.memory.held.with_run(name, found, begins)
    epoch.files |= {run.name: pieces.to_bytes(run.table) for run in held.runs if run.name == name}
    epoch.memory = replace(epoch.memory, held=held)
    epoch.late = tuple(_late(record, place) for record in late.to_pylist())
    if epoch.late and plan.private:
        epoch.late = _answered(call("conceal", epoch.late, AFTER_WINDOW))
    epoch.account = added(epoch.account, Records(late=len(epoch.late)))
    return NO_ROWS


def _late(record: dict[str, Any], place: str) -> BadRecord:
    message = "all windows that it falls into had been written when it came"
    shown = {name: value for name, value in record.items() if name not in HIDDEN}
    return BadRecord(place, "Late", message, f"record {record.get('id')}", shown, at=record[POSITION])


def _closed(epoch: Epoch, plan: StreamPlan, names: Names, call: Call, reached: int | None) -> pa.Table:
    held = epoch.memory.held
    if held is None or reached is None:
        return NO_ROWS
    rows, done, held = held.close(reached)
    epoch.memory = replace(epoch.memory, held=held)
    if rows is None:
        return NO_ROWS
    epoch.account = added(epoch.account, Records(written=done))
    rows = _finished(epoch, plan, rows, AFTER_WINDOW, call)
    rows = _scored(epoch, plan, rows, names)
    return _finished(epoch, plan, rows, AFTER_DETECT, call)


def _scored(epoch: Epoch, plan: StreamPlan, rows: pa.Table, names: Names) -> pa.Table:
    detection = epoch.memory.detection
    if plan.detect is None or detection is None or not rows.num_rows:
        return rows
    scored = detection.scored(rows, plan.detect.context.place)
    name = names("detect", "json")
    epoch.files[name] = json.dumps(detection.state()).encode()
    epoch.memory = replace(epoch.memory, detection_file=name)
    return scored
