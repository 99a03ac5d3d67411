"""The head of a Stream, epoch after epoch: what was read becomes visible at once, with where it was read up to.

It alone decides and commits. Readers read on meanwhile; what they answer counts only where it begins at the message that
comes next.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from headrace.api.data_pipeline import Alert, KafkaStart
from headrace.api.run_report import Replay, StageRate
from headrace.api.run_spec import RunIdentity
from headrace.api.windows import EventTime
from headrace_workers.data import quarantine
from headrace_workers.data.alerts.raising import Raised, raised
from headrace_workers.data.stream.epoch import Epoch, made, replaying
from headrace_workers.data.stream.keeping import Keeper
from headrace_workers.data.stream.parts import Failed, Part, Request
from headrace_workers.data.stream.patience import Patience
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.data.stream.rates import Rate
from headrace_workers.data.stream.readers import Readers
from headrace_workers.data.stream.repaired_records import RepairedRecords
from headrace_workers.data.stream.share import shared
from headrace_workers.data.stream.state import State
from headrace_workers.data.stream.watermark import Watermark
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

MOST_RECORDS = 200_000
MOST_BYTES = 128 << 20
"""What of an epoch is held before it is committed, whatever the pause."""
LIST_SECONDS = 30.0
"""How often it is looked for new partitions."""
JUDGED_RECORDS = 10_000
"""The share of bad records is that of so many, the last ones."""
TURN_SECONDS = 0.25
TELL_SECONDS = 1.0
MOST_WAIT_SECONDS = 1.0
MOST_LINGER_SECONDS = 0.25
"""What a reader may wait for a message, and then for more: it is asked other things, too."""
MOST_TOLD = 5
"""Alerts that are told in the report, the last ones."""


class Stream:
    """One head's run of a Stream."""

    def __init__(
        self, plan: StreamPlan, identity: RunIdentity, storage: Folder, publish: str, readers: Readers,
        on_alerts: Callable[[Sequence[Raised]], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Finds out how far earlier heads came; RunFault if that cannot be known. `on_alerts` hears of each once it is committed."""
        self.plan, self.readers, self._on_alerts = plan, readers, on_alerts
        self.keeper = Keeper(plan, identity, storage, publish)
        state = self.keeper.state
        event_time = plan.spec.event_time or EventTime(column="time")
        self._watermark = Watermark(
            event_time.allowed_lateness_seconds, event_time.idle_seconds, state.newest, state.watermark
        )
        self._memory = self.keeper.memory()
        declared = plan.spec.quarantine.repaired
        self._repaired = RepairedRecords(storage, declared.uri if declared else None)
        self.replay: Replay | None = None
        self._positions, self._known = dict(state.offsets), state.known
        self._since: dict[str, int] = {}
        """Where partitions were read up to since the last epoch."""
        self._high: dict[str, int] = {}
        self._accepted: list[Part] = []
        self._patience = Patience()
        now = time.monotonic()
        self._reading, self._committing = Rate("read", now), Rate("commit", now)
        self._listed = self._committed = now

    @property
    def state(self) -> State:
        """The state after the last epoch."""
        return self.keeper.state

    @property
    def trouble(self) -> str:
        """Why nothing can be read, in a sentence; empty while all is well."""
        return self._patience.trouble

    @property
    def lag(self) -> int | None:
        """Messages that were not read yet; None before the broker has told."""
        if not self._high:
            return None
        return sum(max(0, high - self._positions.get(name, 0)) for name, high in self._high.items())

    def stages(self) -> tuple[StageRate, ...]:
        """How fast reading is, over all readers, and committing."""
        now = time.monotonic()
        channels = max(1, len(self.readers.names))
        return self._reading.at(now, channels, self.lag or 0), self._committing.at(now, 1, self._read)

    def run(self, stopping: threading.Event, tell: Callable[["Stream"], None]) -> None:
        """Goes on until it is asked to stop, with what was read by then committed; `tell` hears of each turn."""
        self._begin(stopping, tell)
        while True:
            self._gather(stopping, tell)
            if self._read or self._ripe(time.monotonic()):
                self._commit()
                tell(self)
            if self._positions and self._repaired.due(time.monotonic()):
                self._take_repaired()
                tell(self)
            if stopping.is_set():
                return

    @property
    def _read(self) -> int:
        """Messages that were taken and are in no epoch yet."""
        return sum(part.records.read for part in self._accepted)

    def _ripe(self, now: float) -> bool:
        """Whether time alone closes a window, as partitions have nothing new for long."""
        if self._memory.held is None or not self._memory.held.runs:
            return False
        reached = self._watermark.advance(self._positions, now)
        return reached is not None and self._memory.held.ripe(reached)

    def _begin(self, stopping: threading.Event, tell: Callable[["Stream"], None]) -> None:
        """Finds where reading begins, and keeps that before anything is read."""
        while not stopping.is_set():
            self.readers.update()
            if self._patience.may_ask(time.monotonic()):
                names = self.readers.call("partitions", bool(self._positions))
                if not self._troubled(names):
                    self._take_up(names)
                    if self._since:
                        self._keep(Epoch(self._memory), self.state.recent, self._watermark.reached)
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
        self._since |= starts

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
            read, left = self._read, self._committed + pause - now
            size = sum(part.table.nbytes for part in self._accepted)
            if self._positions and self._repaired.due(now):
                return
            if (read and (left <= 0 or read >= MOST_RECORDS or size >= MOST_BYTES)) or (left <= 0 and self._ripe(now)):
                return
            for answer in self.readers.answers(min(max(left, 0.01), TURN_SECONDS)):
                self._hear(answer)
            if now - told >= TELL_SECONDS:
                told = now
                tell(self)

    def _ask(self, now: float) -> None:
        wait = min(self.plan.spec.streaming.commit_milliseconds / 1000, MOST_WAIT_SECONDS)
        idle = set(self.readers.idle)
        for name, partitions in shared(self._positions, self.readers.names).items():
            if name not in idle or not partitions:
                continue
            lists = now - self._listed >= LIST_SECONDS
            self._listed = now if lists else self._listed
            offsets = {partition: self._positions[partition] for partition in partitions}
            self.readers.ask(name, Request(offsets, self._known, wait, min(wait / 4, MOST_LINGER_SECONDS), lists=lists))

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
        self._since |= answer.offsets
        self._high |= answer.high
        self._watermark.hear(answer.newest, now)
        if answer.records.read:
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
        """Makes an epoch of what was taken, and keeps it."""
        started, now = time.process_time(), time.monotonic()
        self._committed = now
        parts, self._accepted = self._accepted, []
        reached = self._watermark.advance(self._positions, now)
        closed = self.state.watermark
        epoch = made(
            self.plan, parts, self._memory, self.keeper.name, self.readers.call, closed, reached, self.state.offsets
        )
        self._keep(epoch, self._judged(epoch), self._watermark.reached)
        self._committing.add(epoch.account.read, time.process_time() - started, time.monotonic())

    def _take_repaired(self) -> None:
        """Makes an epoch of the repaired records that there are, and keeps it with the fact that they were taken."""
        found = self._repaired.look(time.monotonic(), self._memory.replayed)
        self.replay = found.replay
        if not found.lines:
            return
        part = self.readers.call("replay", found.lines, self._known)
        if self._troubled(part):
            return
        known = joined(self._known, part.discovered)
        assert known is not None, "the reader knew the columns"
        self._known = known
        state = self.state
        epoch = replaying(
            self.plan,
            found.lines,
            part,
            self._memory,
            self.keeper.name,
            self.readers.call,
            state.watermark,
            state.offsets,
        )
        # It is nobody's fault now if what was bad is so still, and no window has closed.
        self._keep(epoch, state.recent, state.watermark)

    def _judged(self, epoch: Epoch) -> tuple[tuple[int, int], ...]:
        """How many were read and bad lately; RunFault TooManyBadRecords if these are too many."""
        recent = [*self.state.recent]
        before = recent.pop() if recent and recent[-1][0] < JUDGED_RECORDS // 100 else (0, 0)
        recent.append((before[0] + epoch.account.read, before[1] + epoch.account.quarantined))
        while len(recent) > 1 and sum(read for read, _ in recent[1:]) >= JUDGED_RECORDS:
            recent.pop(0)
        read = max(JUDGED_RECORDS, sum(read for read, _ in recent))
        bad = sum(bad for _, bad in recent)
        first = str(epoch.bad[0])[:300] if epoch.bad else ""
        quarantine.require_few(bad, read, self.plan.spec.quarantine.max_fraction, first)
        return tuple(recent)

    def _keep(self, epoch: Epoch, recent: tuple[tuple[int, int], ...], closed: int | None) -> None:
        alerts = self.plan.spec.alerts
        raised_now = raised(with_watched(epoch.rows, alerts), alerts, datetime.now(UTC)) if alerts else []
        told = self.state.alerts
        newest = tuple(one.told for one in reversed(raised_now[-MOST_TOLD:]))
        told = told.model_copy(
            update={"count": told.count + len(raised_now), "last": (*newest, *told.last)[:MOST_TOLD]}
        )
        self.keeper.keep(epoch, self._since, self._known, self._watermark.newest, closed, recent, told)
        self._memory, self._since = epoch.memory, {}
        self._on_alerts(raised_now)


def with_watched(rows: pa.Table, alerts: Sequence[Alert]) -> pa.Table:
    """The rows with the columns that alerts watch: where no record of an epoch has a value, the column is not there."""
    for alert in alerts:
        if alert.column not in rows.column_names:
            rows = rows.append_column(alert.column, pa.nulls(rows.num_rows, pa.float64()))
    return rows


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
