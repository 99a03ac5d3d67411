"""A reader of messages in memory, which gives other ones with each look: for what need not be seen on a real broker."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from headrace.api.data_pipeline import DataPipelineSpec, KafkaStart
from headrace.api.quarantine_line import QuarantineLine
from headrace_workers.data.quarantine import BadRecord
from headrace_workers.data.stream.messages import Reading, Taken
from headrace_workers.data.stream.parts import Part, Request
from headrace_workers.data.stream.plan import planned
from headrace_workers.data.stream.work import Worker


class FakeReader:
    """Answers as a ReaderActor does."""

    def __init__(
        self, spec: DataPipelineSpec, messages: Mapping[str, Sequence[Any]], seed: int = 0, most: int = 50
    ) -> None:
        """`messages` by partition are written as JSON, unless they are bytes; a look takes at most so many of each."""
        self._worker = Worker(planned(spec))
        self._messages = {
            name: [each if isinstance(each, bytes) else json.dumps(each).encode() for each in some]
            for name, some in messages.items()
        }
        self._chance, self._most = random.Random(seed), most

    def partitions(self, were_there: bool) -> tuple[str, ...]:
        """All that there are."""
        return tuple(sorted(self._messages))

    def starts(self, names: tuple[str, ...], start: KafkaStart) -> dict[str, int]:
        """The beginning."""
        return {name: 0 if start is KafkaStart.EARLIEST else len(self._messages[name]) for name in names}

    def read(self, request: Request) -> Part:
        """Some of what is left; a message's time is its offset, in seconds."""
        taken, offsets = {}, dict(request.offsets)
        for name, begin in request.offsets.items():
            end = min(begin + self._chance.randint(0, self._most), len(self._messages[name]))
            if end > begin:
                places = list(range(begin, end))
                taken[name] = Taken(places, [1000 * place for place in places], self._messages[name][begin:end])
            offsets[name] = end
        high = {name: len(some) for name, some in self._messages.items()}
        return self._worker.part(request.offsets, Reading(taken, offsets, high), request.known)

    def replay(self, lines: tuple[QuarantineLine, ...], known: pa.Schema) -> Part:
        """Repaired records, which happen a million seconds after 1970 unless they say when."""
        return self._worker.replay(lines, known, 1_000_000_000)

    def finish(self, table: pa.Table, group: int) -> Any:
        """The steps after deduplicate."""
        return self._worker.finish(table, group)

    def conceal(self, bad: tuple[BadRecord, ...], group: int) -> Any:
        """Records as the quarantine may have them."""
        return self._worker.conceal(bad, group)

    def close(self) -> None:
        """There is nothing to close."""
