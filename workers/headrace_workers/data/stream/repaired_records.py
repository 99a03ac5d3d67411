"""The repaired records that lie where a Stream looks for them, and which of them may take a bad record's place now.

What cannot is told and never fails the stream: a person's slip in one line must not stop all others.
"""

import json
from collections import Counter
from dataclasses import dataclass

from headrace.api.quarantine_line import NotALine, QuarantineLine, hidden_words, parsed
from headrace.api.run_report import Replay
from headrace_workers.data import quarantine, repairs
from headrace_workers.data.privacy import quiet
from headrace_workers.data.sources.shard import Shard
from headrace_workers.data.stream.replayed import Replayed
from headrace_workers.storage import Folder

FOLDER = "repaired"
LOOK_SECONDS = 10.0
MOST_AT_ONCE = 5_000


@dataclass(frozen=True)
class Found:
    """Repaired records to take now, and what is to be told of all."""

    lines: tuple[QuarantineLine, ...] = ()
    replay: Replay | None = None


class RepairedRecords:
    """Repaired records of one Stream, by the address or in the run's storage."""

    def __init__(self, storage: Folder, uri: str | None) -> None:
        """Looks at nothing yet."""
        self._uri = uri or storage.sub(FOLDER).uri
        self._quarantine = storage.sub(quarantine.FOLDER)
        self._shards: tuple[Shard, ...] | None = None
        self._lines: list[QuarantineLine] = []
        self._wrong: list[str] = []
        self._counted: dict[str, list[tuple[str, str]]] = {}
        """Of each file of the quarantine, the source and the place of each line that some repaired record may mean."""
        self._sources: dict[str, set[str]] = {}
        self._next = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time to look; `now` is a monotonic clock's seconds."""
        return now >= self._next

    def look(self, now: float, replayed: Replayed) -> Found:
        """What may be taken now."""
        self._next = now + LOOK_SECONDS
        try:
            self._read()
            there = self._in_quarantine() if self._lines else Counter[str]()
        except OSError as error:
            # Files come and go while others look at them; whoever put them there looks at the status.
            return Found(replay=Replay(problem=f"{self._uri} cannot be read, which is tried again: {error}"[:512]))
        taken: list[QuarantineLine] = []
        problems = list(self._wrong)
        places = set[str]()
        for line in self._lines:
            sure = self._placed(line)
            if isinstance(sure, str):
                problems.append(sure)
            elif replayed.has(sure):
                continue
            elif there[sure.place] <= replayed.times(sure.place):
                known = "was replayed already" if replayed.times(sure.place) else "is not in the quarantine of this run"
                problems.append(f"{line.source} {known}")
            elif sure.place in places:
                problems.append(f"{line.source} is repaired twice, in different ways; only the first one is taken")
            elif len(taken) < MOST_AT_ONCE:
                places.add(sure.place)
                taken.append(sure)
            else:
                self._next = now
        if not self._lines and not problems:
            return Found()
        given = len(self._lines) + len(self._wrong)
        return Found(
            tuple(taken), Replay(given=given, refused=len(problems), problem=quiet((problems or [""])[0])[:512])
        )

    def _read(self) -> None:
        """Reads all files if they are others than at the last look."""
        shards = repairs.listed(self._uri)
        if shards == self._shards:
            return
        lines: dict[tuple[str, str], QuarantineLine] = {}
        wrong: list[str] = []
        for shard in shards:
            for number, text in repairs.texts(shard):
                try:
                    line = parsed(text)
                except NotALine as why:
                    wrong.append(f"{shard.name} line {number} {why}")
                    continue
                if line.still_hidden:
                    wrong.append(f"{shard.name} line {number}: {hidden_words(line)}")
                else:
                    lines.setdefault((line.place, line.digest), line)
        self._shards, self._lines, self._wrong, self._counted = shards, list(lines.values()), wrong, {}

    def _in_quarantine(self) -> "Counter[str]":
        """How often each place that some repaired record names is in the quarantine; files that were looked at stay known."""
        wanted = {line.place for line in self._lines} | {line.source for line in self._lines}
        for name in self._quarantine.names():
            if name.endswith(".jsonl") and name not in self._counted:
                lines = map(QuarantineLine.model_validate, map(json.loads, self._quarantine.read(name).splitlines()))
                self._counted[name] = [
                    (line.source, line.place) for line in lines if line.place in wanted or line.source in wanted
                ]
        self._sources = {}
        for found in self._counted.values():
            for source, place in found:
                self._sources.setdefault(source, set()).add(place)
        return Counter(place for found in self._counted.values() for _, place in found)

    def _placed(self, line: QuarantineLine) -> QuarantineLine | str:
        """The line with the message that it means, where it names an id alone; or why that cannot be told."""
        if line.at:
            return line
        places = self._sources.get(line.source, set[str]())
        if len(places) > 1:
            return (
                f"{line.source} is in the quarantine {len(places)} times; write the field at, too, as it stands there"
            )
        return line.model_copy(update={"at": next(iter(places))}) if places else line
