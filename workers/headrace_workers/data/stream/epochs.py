"""The head of a Stream, epoch after epoch: what was read becomes visible at once, with where it was read up to.

It alone decides and commits, in this order: bad records, then the state, then the table. Killed anywhere, the next head
finds the state that the table's last commit names and reads from there; what it finds beyond is deleted, as if it had
never been. Readers read on meanwhile.
"""

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.api.data_pipeline import KafkaStart
from headrace.api.run_report import Records, StageRate
from headrace.api.run_spec import RunIdentity
from headrace.api.windows import EventTime
from headrace_workers.data import quarantine, recipe
from headrace_workers.data.accounting import added, require_balanced, total
from headrace_workers.data.final_form import final_form
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.stream import preparing
from headrace_workers.data.stream.duplicates import Seen, words
from headrace_workers.data.stream.lake import Lake
from headrace_workers.data.stream.parts import SIGNATURE, TIME, Failed, Part, Request
from headrace_workers.data.stream.patience import Patience
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.data.stream.rates import Rate
from headrace_workers.data.stream.readers import Readers
from headrace_workers.data.stream.share import shared
from headrace_workers.data.stream.state import State, States, Writer, named, text_of
from headrace_workers.data.stream.watermark import MICROSECONDS, Watermark
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

MOST_RECORDS = 200_000
MOST_BYTES = 128 << 20
"""What of an epoch is held before it is committed, whatever the pause."""
LIST_SECONDS = 30.0
"""How often it is looked for new partitions."""
JUDGED_RECORDS = 10_000
"""The share of bad records is that of so many, the last ones."""
VACUUM_COMMITS = 500
TURN_SECONDS = 0.25
TELL_SECONDS = 1.0
MOST_LINGER_SECONDS = 0.25
BAD = "bad-"
NO_ROWS = pa.table({"split": pa.array([], pa.string())})

logger = logging.getLogger(__name__)


@dataclass
class Epoch:
    """What is on its way to the table: rows, what was left out of them, and the account."""

    table: pa.Table
    bad: tuple[BadRecord, ...] = ()
    account: Records = field(default_factory=Records)
    seen: Seen | None = None


class Stream:
    """One head's run of a Stream."""

    def __init__(
        self, plan: StreamPlan, identity: RunIdentity, storage: Folder, publish: str, readers: Readers
    ) -> None:
        """Finds out how far earlier heads came; RunFault if that cannot be known."""
        self.plan, self._storage, self.readers = plan, storage, readers
        self.lake = Lake(publish, identity)
        self._states = States(storage)
        self._writer = f"{identity.attempt}x{secrets.token_hex(4)}"
        self._recipe = recipe.dataset_digest(plan.spec, [])
        self.state = self._restored(identity)
        event_time = plan.spec.event_time or EventTime(column="time")
        self._watermark = Watermark(
            event_time.allowed_lateness_seconds, event_time.idle_seconds, self.state.newest, self.state.watermark
        )
        within = plan.deduplicate.settings.exact.within_seconds if plan.deduplicate else 0
        self._seen = Seen(within * MICROSECONDS, self._states.seen(self.state))
        self._positions, self._known = dict(self.state.offsets), self.state.known
        self._begun: dict[str, int] = {}
        self._high: dict[str, int] = {}
        self._columns: list[str] = []
        self._accepted: list[Part] = []
        self._patience = Patience()
        now = time.monotonic()
        self._reading, self._committing = Rate("read", now), Rate("commit", now)
        self._listed = self._committed = now
        self.files = len(self.lake.sizes)

    @property
    def trouble(self) -> str:
        """Why nothing can be read, in a sentence; empty while all is well."""
        return self._patience.trouble

    @property
    def lag(self) -> int | None:
        """Messages that are not in an epoch yet; None before the broker has told."""
        if not self._high:
            return None
        return sum(max(0, high - self.state.offsets.get(name, 0)) for name, high in self._high.items())

    @property
    def digest(self) -> str:
        """The digest of recipe, code and offsets."""
        return hashlib.sha256(json.dumps([self._recipe, sorted(self.state.offsets.items())]).encode()).hexdigest()

    def stages(self) -> tuple[StageRate, ...]:
        """How fast reading is, over all readers, and committing."""
        now, waiting = time.monotonic(), sum(part.records.read for part in self._accepted)
        channels = max(1, len(self.readers.names))
        return self._reading.at(now, channels, self.lag or 0), self._committing.at(now, 1, waiting)

    def run(self, stopping: threading.Event, tell: Callable[["Stream"], None]) -> None:
        """Goes on until it is asked to stop, with what was read by then committed; `tell` hears of each turn."""
        self._begin(stopping, tell)
        while True:
            self._gather(stopping, tell)
            if any(part.records.read for part in self._accepted):
                self._commit()
                tell(self)
            if stopping.is_set():
                return

    def _restored(self, identity: RunIdentity) -> State:
        last = self.lake.last_commit()
        self._last_commit = last.state if last else ""
        found = self._states.latest(self._last_commit)
        if found is None:
            found = State(epoch=-1, writer=self._writer)
            if last:
                if last.run == identity.run:
                    logger.warning(
                        "the storage has lost the state of %s: going on from the table's last commit", last.state
                    )
                account = last.records if last.run == identity.run else Records()
                found = State(
                    epoch=last.epoch, writer=self._writer, offsets=dict(last.offsets), records=account, splits=dict(last.splits)
                )  # fmt: skip
        self._states.forget_others(found)
        folder = self._storage.sub(quarantine.FOLDER)
        for name in folder.names():
            if name.startswith(BAD) and not found.is_valid(name):
                folder.delete(name)
        self._writers = (*found.writers, Writer(name=self._writer, begins=found.epoch + 1))
        return found

    def _begin(self, stopping: threading.Event, tell: Callable[["Stream"], None]) -> None:
        """Finds where reading begins, and keeps that before anything is read."""
        while not stopping.is_set():
            self.readers.update()
            if self._patience.may_ask(time.monotonic()):
                names = self.readers.call("partitions")
                if not self._troubled(names):
                    self._take_up(names)
                    if self._begun:
                        self._keep(Epoch(NO_ROWS), {}, self.state.recent)
                    return
            tell(self)
            time.sleep(TURN_SECONDS)

    def _take_up(self, names: tuple[str, ...]) -> None:
        """Begins with partitions that are new; those that came after the first are read whole."""
        new = tuple(name for name in names if name not in self._positions)
        if not new:
            return
        assert self.plan.spec.source.kafka
        start = KafkaStart.EARLIEST if self._positions else self.plan.spec.source.kafka.start
        starts = self.readers.call("starts", new, start)
        if self._troubled(starts):
            self._listed = 0.0
            return
        self._positions |= starts
        self._begun |= starts

    def _gather(self, stopping: threading.Event, tell: Callable[["Stream"], None]) -> None:
        """Takes what the readers answer, until it is time to commit it; the readers read on."""
        pause = self.plan.spec.streaming.commit_milliseconds / 1000
        told = time.monotonic()
        while not stopping.is_set():
            now = time.monotonic()
            self.readers.update()
            if not self._positions:
                self._begin(stopping, tell)
            if self._patience.may_ask(now):
                self._ask(now)
            held = sum(part.records.read for part in self._accepted)
            left = self._committed + pause - now
            if held and (
                left <= 0 or held >= MOST_RECORDS or sum(p.table.nbytes for p in self._accepted) >= MOST_BYTES
            ):
                return
            for answer in self.readers.answers(min(max(left, 0.01), TURN_SECONDS)):
                self._hear(answer)
            if now - told >= TELL_SECONDS:
                told = now
                tell(self)

    def _ask(self, now: float) -> None:
        pause = self.plan.spec.streaming.commit_milliseconds / 1000
        idle = set(self.readers.idle)
        for name, partitions in shared(self._positions, self.readers.names).items():
            if name not in idle or not partitions:
                continue
            lists = now - self._listed >= LIST_SECONDS
            self._listed = now if lists else self._listed
            offsets = {partition: self._positions[partition] for partition in partitions}
            self.readers.ask(
                name, Request(offsets, self._known, pause, min(pause / 4, MOST_LINGER_SECONDS), lists=lists)
            )

    def _hear(self, answer: Part | str | Failed) -> None:
        if self._troubled(answer):
            return
        assert isinstance(answer, Part)
        if any(self._positions.get(name) != offset for name, offset in answer.begins.items()):
            return
        known = joined(self._known, answer.discovered)
        if known is None:
            # It was read when another answer's columns were not known yet: it is read again.
            return
        if answer.trouble:
            self._patience.hear(answer.trouble, time.monotonic())
        else:
            self._patience.clear()
        now = time.monotonic()
        self._known = known
        self._positions |= answer.offsets
        self._high |= answer.high
        self._watermark.hear(answer.newest, now)
        self._accepted.append(answer)
        self._reading.add(answer.records.read, answer.seconds, now)
        if answer.partitions:
            self._take_up(answer.partitions)

    def _troubled(self, answer: Any) -> bool:
        if isinstance(answer, Failed):
            raise RunFault(answer.reason, answer.message, retryable=answer.retryable)
        if isinstance(answer, str):
            self._patience.hear(answer, time.monotonic())
            return True
        return False

    def _commit(self) -> None:
        """Makes an epoch of what was taken."""
        started = time.process_time()
        self._committed = time.monotonic()
        parts, self._accepted = self._accepted, []
        epoch = Epoch(
            pa.concat_tables([part.table for part in parts], promote_options="default"),
            tuple(bad for part in parts for bad in part.bad),
            total(part.records for part in parts),
        )
        self._without_equal(epoch)
        self._finished(epoch)
        table = epoch.table.drop_columns([TIME])
        epoch.table = final_form(table)
        epoch.account = added(epoch.account, Records(written=epoch.table.num_rows))
        require_balanced(epoch.account)
        offsets: dict[str, int] = {}
        for part in parts:
            offsets |= part.offsets
        self._keep(epoch, offsets, self._judged(parts, epoch))
        self._committing.add(epoch.account.read, time.process_time() - started, time.monotonic())

    def _without_equal(self, epoch: Epoch) -> None:
        if self.plan.deduplicate is None:
            return
        first, second = words(epoch.table[SIGNATURE].combine_chunks())
        times = epoch.table[TIME].to_numpy()
        fresh = self._seen.fresh(first, second, times)
        epoch.seen = self._seen.with_run(
            named("seen", self.state.epoch + 1, self._writer, "arrow"), first[fresh], second[fresh], times[fresh]
        )
        epoch.account = added(epoch.account, Records(duplicates=len(fresh) - int(fresh.sum())))
        table = epoch.table.drop_columns([SIGNATURE])
        epoch.table = table if fresh.all() else table.filter(pa.array(fresh))

    def _finished(self, epoch: Epoch) -> None:
        """The steps that follow deduplicate are done by a reader, which has the keys."""
        if not self.plan.after or not epoch.table.num_rows:
            return
        answer = self.readers.call("finish", epoch.table)
        if isinstance(answer, Failed):
            raise RunFault(answer.reason, answer.message, retryable=answer.retryable)
        epoch.table, bad, account = answer
        epoch.bad += bad
        epoch.account = added(epoch.account, account)

    def _judged(self, parts: list[Part], epoch: Epoch) -> tuple[tuple[int, int], ...]:
        """How many were read and bad lately; RunFault TooManyBadRecords if these are too many."""
        recent = [*self.state.recent, (epoch.account.read, epoch.account.quarantined)]
        while len(recent) > 1 and sum(read for read, _ in recent[1:]) >= JUDGED_RECORDS:
            recent.pop(0)
        read = max(JUDGED_RECORDS, sum(read for read, _ in recent))
        bad = sum(bad for _, bad in recent)
        if bad:
            first = str(epoch.bad[0])[:300] if epoch.bad else ""
            quarantine.require_few(bad, read, self.plan.spec.quarantine.max_fraction, first)
        return tuple(recent)

    def _keep(self, epoch: Epoch, offsets: dict[str, int], recent: tuple[tuple[int, int], ...]) -> None:
        """Writes an epoch, the table last, and forgets what only the one before needed."""
        before, number, rows = self.state, self.state.epoch + 1, epoch.table.num_rows
        reached = self._watermark.advance(self._positions, time.monotonic())
        seen = epoch.seen or self._seen
        if reached is not None:
            seen = seen.forget(reached)
        splits = dict(before.splits)
        for entry in pc.value_counts(epoch.table["split"]).to_pylist() if rows else []:
            name = entry["values"] or "none"
            splits[name] = splits.get(name, 0) + entry["counts"]
        state = State(
            epoch=number, writer=self._writer, follows=None if rows else self._last_commit,
            offsets=before.offsets | self._begun | offsets,
            records=added(before.records, epoch.account), splits=splits, columns=text_of(self._known),
            newest=self._watermark.newest, watermark=reached, seen=tuple(run.name for run in seen.runs),
            recent=recent, writers=self._writers, commits=before.commits + bool(rows),
            commit_time=datetime.now(UTC).isoformat() if rows else before.commit_time,
        )  # fmt: skip
        if epoch.bad:
            quarantine.write(
                self._storage, named("bad", number, self._writer, "jsonl").removesuffix(".jsonl"), epoch.bad
            )
        new = next((run for run in seen.runs if run.name not in before.seen), None)
        self._states.write(state, new)
        self.state, self._seen, self._begun = state, seen, {}
        if rows:
            if self._columns != epoch.table.column_names:
                self._columns = epoch.table.column_names
                preparing.save(self.plan, self._columns, self._storage)
            self.lake.append(epoch.table, state, self.digest)
            self._last_commit = state.name
        self._states.forget(before, state)
        if rows:
            self._tidy(state.commits)

    def _tidy(self, commits: int) -> None:
        self.lake.compact(self.plan.spec.streaming.compact_files)
        if commits % VACUUM_COMMITS == 0:
            self.lake.vacuum()
        self.files = len(self.lake.sizes)


def joined(known: pa.Schema, discovered: pa.Schema) -> pa.Schema | None:
    """The known columns and the discovered ones; None if one of these is known otherwise."""
    taken = {each.name.lower(): each for each in known}
    new = []
    for each in discovered:
        there = taken.get(each.name.lower())
        if there is None:
            new.append(each)
        elif there.name != each.name or there.type != each.type:
            return None
    return pa.schema([*known, *new]) if new else known
