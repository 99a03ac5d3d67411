"""trials.jsonl: what a search has begun, seen and ended, one line an event, so that a lost head costs no finished trial.

A line is written before what it says is acted on. A line that a crash cut short never happened.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from headrace_workers.storage import Folder

TRIALS = "trials.jsonl"


class State(StrEnum):
    """How a trial stands."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    PRUNED = "Pruned"
    FAILED = "Failed"


@dataclass(frozen=True)
class Started:
    """A trial was given its values. `attributes` is what the sampler must find again."""

    number: int
    chosen: dict[str, Any]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """A trial's objective after so many whole epochs."""

    number: int
    epoch: int
    value: float


@dataclass(frozen=True)
class Lost:
    """The worker under a trial is gone; the trial is run again."""

    number: int


@dataclass(frozen=True)
class Ended:
    """A trial will not be run again. `seconds` is how long the search had been active, over all attempts."""

    number: int
    state: State
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    attributes: dict[str, Any] = field(default_factory=dict)


Event = Started | Measured | Lost | Ended
EVENTS: dict[str, type[Event]] = {"started": Started, "measured": Measured, "lost": Lost, "ended": Ended}


@dataclass(frozen=True)
class TrialRecord:
    """All that the journal says of one trial."""

    number: int
    chosen: dict[str, Any]
    attributes: dict[str, Any]
    state: State = State.RUNNING
    values: dict[int, float] = field(default_factory=dict)
    losses: int = 0
    value: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


class Journal:
    """The journal of one search."""

    def __init__(self, storage: Folder) -> None:
        """`storage` is the run's own folder."""
        self._storage = storage

    def write(self, event: Event) -> None:
        """Adds one line."""
        self._storage.append(TRIALS, _line(event))

    def read(self) -> list[Event]:
        """All events in order. A line cut short by a crash is removed, so that the next one does not join it."""
        if not self._storage.exists(TRIALS):
            return []
        data = self._storage.read(TRIALS)
        whole, _, torn = data.rpartition(b"\n")
        if torn:
            self._storage.write(TRIALS, whole + b"\n" if whole else b"")
        return [_event(line) for line in whole.splitlines()]


def records(events: list[Event]) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """The trials by number, and those that ended in the order they ended."""
    trials: dict[int, TrialRecord] = {}
    ended: list[int] = []
    for event in events:
        match event:
            case Started(number, chosen, attributes):
                trials[number] = TrialRecord(number, chosen, attributes)
            case Measured(number, epoch, value):
                trial = trials[number]
                trials[number] = replace(trial, values={**trial.values, epoch: value})
            case Lost(number):
                trials[number] = replace(trials[number], losses=trials[number].losses + 1)
            case Ended(number):
                trials[number] = replace(trials[number], **{f.name: getattr(event, f.name) for f in fields(event)})
                ended.append(number)
    return [trials[number] for number in sorted(trials)], [trials[number] for number in ended]


def _line(event: Event) -> bytes:
    name = next(name for name, kind in EVENTS.items() if isinstance(event, kind))
    return (json.dumps({"event": name, **asdict(event)}) + "\n").encode()


def _event(line: bytes) -> Event:
    content = json.loads(line)
    kind = EVENTS[content.pop("event")]
    if kind is Ended:
        content["state"] = State(content["state"])
    return kind(**content)
