"""A reader in a worker's process: answers with values and never with a fault, as those lose their words on the way."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from headrace.api.data_pipeline import DataPipelineSpec, KafkaStart
from headrace.api.quarantine_line import QuarantineLine
from headrace_workers.data import privacy
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.stream.broker import Unreachable
from headrace_workers.data.stream.parts import Failed, Part, Request
from headrace_workers.data.stream.plan import planned
from headrace_workers.data.stream.reader import Reader
from headrace_workers.data.stream.work import Worker
from headrace_workers.faults import RunFault

Answer = TypeVar("Answer")


class ReaderActor:
    """Reads its partitions and does the steps of the pipeline to what it has read."""

    def __init__(self, spec: DataPipelineSpec) -> None:
        """Connects to nothing yet."""
        self._spec = spec
        self._reader: Reader | None = None
        self._worker: Worker | None = None

    def ready(self) -> int:
        """The process that answers."""
        return os.getpid()

    def partitions(self, were_there: bool) -> tuple[str, ...] | str | Failed:
        """All partitions of the topics; a sentence where the broker does not answer."""
        return self._answered(lambda reader, _: reader.partitions(were_there=were_there))

    def starts(self, names: tuple[str, ...], start: KafkaStart) -> dict[str, int] | str | Failed:
        """Where reading begins in partitions that were not read from; a sentence where the broker does not answer."""
        return self._answered(lambda reader, _: reader.starts(names, start))

    def read(self, request: Request) -> Part | str | Failed:
        """What there is to read, after the steps that do not need other readers' records."""

        def work(reader: Reader, worker: Worker) -> Part:
            reading = reader.read(request)
            started = time.process_time()
            part = worker.part(request.offsets, reading, request.known)
            partitions = reader.partitions(were_there=True) if request.lists and not part.trouble else ()
            return replace(part, seconds=reading.seconds + time.process_time() - started, partitions=partitions)

        return self._answered(work)

    def replay(self, lines: tuple[QuarantineLine, ...], known: pa.Schema) -> Part | str | Failed:
        """Repaired records, after the steps that do not need other readers' records."""
        return self._answered(lambda _, worker: worker.replay(lines, known, time.time_ns() // 1_000_000))

    def finish(self, table: pa.Table, group: int) -> Any:
        """A table after a group of steps that waits for the head, the bad records, and the account."""
        return self._answered(lambda _, worker: worker.finish(table, group))

    def conceal(self, bad: tuple[BadRecord, ...], group: int) -> Any:
        """Records that no group from this one on will see, as the quarantine may have them."""
        return self._answered(lambda _, worker: worker.conceal(bad, group))

    def close(self) -> None:
        """Disconnects."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _answered(self, work: Callable[[Reader, Worker], Answer]) -> Answer | str | Failed:
        is_private = False
        try:
            if self._reader is None or self._worker is None:
                plan = planned(self._spec)
                is_private = bool(plan.private)
                assert self._spec.source.kafka
                self._worker = Worker(plan)
                self._reader = Reader(self._spec.source.kafka)
            is_private = self._worker.is_private
            return work(self._reader, self._worker)
        except Unreachable as trouble:
            return str(trouble)
        except RunFault as fault:
            message = privacy.quiet(fault.message) if is_private else fault.message
            return Failed(fault.reason, message, fault.retryable)
        except Exception as error:
            if not is_private:
                raise
            fault = privacy.unexpected(error)
            return Failed(fault.reason, fault.message, fault.retryable)
