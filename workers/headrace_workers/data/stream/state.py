"""How far a Stream is: one file an epoch, in the run's storage, written before the epoch is committed to the table.

The commit names the file, so that of two heads of one run only the one whose commit the table took has a valid state. An
epoch without rows has no commit; its state names the last one that has. A file's name has its epoch and its writer;
`writers` says which files of the quarantine are valid.
"""

import base64
import json
from collections.abc import Mapping
from functools import reduce
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from headrace.api.base import Model
from headrace.api.run_report import RaisedAlerts, Records
from headrace_workers.data import pieces
from headrace_workers.data.steps.detection import Detection
from headrace_workers.data.steps.event_times import SECOND
from headrace_workers.data.stream.duplicates import Run, Seen
from headrace_workers.data.stream.epoch import NEVER, Memory
from headrace_workers.data.stream.held import Held, HeldRun, earliest
from headrace_workers.data.stream.plan import StreamPlan
from headrace_workers.data.stream.replayed import Replayed
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

FOLDER = "stream"
DIGITS = 12


class Writer(Model):
    """A head, and the first epoch that it wrote."""

    name: str
    begins: int


class HeldFile(Model):
    """A file of what waits in open windows, and where its records began to be read."""

    name: str
    begins: dict[str, int] = {}


class State(Model):
    """All that a head must know to go on after an epoch."""

    epoch: int
    writer: str
    follows: Annotated[
        str | None,
        Field(description="Where this epoch has no rows and so no commit, the state that the last commit names."),
    ] = None
    offsets: dict[str, int] = {}
    records: Records = Records()
    splits: dict[str, int] = {}
    columns: Annotated[str, Field(description="The types of the source's columns, as an Arrow schema in base64.")] = ""
    newest: dict[str, int] = {}
    watermark: int | None = None
    seen: Annotated[tuple[str, ...], Field(description="The files of what equal records are compared with.")] = ()
    held: Annotated[
        tuple[HeldFile, ...], Field(description="The files of what waits in open windows, the oldest first.")
    ] = ()
    detection: Annotated[str, Field(description="The file of what scores depend on.")] = ""
    replayed: Annotated[str, Field(description="The file of which repaired records were taken.")] = ""
    recent: Annotated[tuple[tuple[int, int], ...], Field(description="Records read and bad ones, lately.")] = ()
    writers: tuple[Writer, ...] = ()
    commits: int = 0
    commit_time: str = ""
    alerts: RaisedAlerts = RaisedAlerts()

    @property
    def name(self) -> str:
        """The state's file."""
        return named("state", self.epoch, self.writer, "json")

    @property
    def files(self) -> frozenset[str]:
        """Its own file, and all that it names."""
        return frozenset(
            (
                self.name,
                *self.seen,
                *(file.name for file in self.held),
                *filter(None, (self.detection, self.replayed)),
            )
        )

    @property
    def safe_offsets(self) -> dict[str, int]:
        """Where to read from for all that waits in windows, too; partitions that came since are read whole then."""
        if not self.held:
            return self.offsets
        return reduce(earliest, (file.begins for file in self.held))

    @property
    def known(self) -> pa.Schema:
        """The types of the source's columns."""
        if not self.columns:
            return pa.schema([("id", pa.string())])
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.columns)))

    def is_valid(self, name: str) -> bool:
        """Whether a file of an epoch belongs to this state's past: by its epoch, and by who wrote that."""
        epoch, writer = _parsed(name)
        wrote = [each.name for each in self.writers if each.begins <= epoch]
        return epoch <= self.epoch and bool(wrote) and wrote[-1] == writer


def text_of(schema: pa.Schema) -> str:
    """A schema as a state has it."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def named(kind: str, epoch: int, writer: str, ending: str) -> str:
    """The name of an epoch's file."""
    return f"{kind}-{epoch:0{DIGITS}d}-{writer}.{ending}"


def _parsed(name: str) -> tuple[int, str]:
    parts = name.rpartition(".")[0].split("-")
    return int(parts[-2]), parts[-1]


class States:
    """The states in a run's storage."""

    def __init__(self, storage: Folder) -> None:
        """Reads nothing yet."""
        self._folder = storage.sub(FOLDER)

    def write(self, state: State, files: Mapping[str, bytes | memoryview]) -> None:
        """Writes a state, after the files that it names and that were not there before."""
        for name, content in files.items():
            self._folder.write(name, content)
        self._folder.write(state.name, state.model_dump_json(exclude_defaults=True).encode())

    def read(self, name: str) -> State | None:
        """A state; None if it is not there."""
        return State.model_validate_json(self._folder.read(name)) if name and self._folder.exists(name) else None

    def latest(self, name: str) -> State | None:
        """The state that the last commit names, or the newest of those without rows that follow it; None if all are gone."""
        found = [state for state in [self.read(name)] if state]
        others = (self.read(other) for other in self._folder.names() if other.startswith("state-"))
        found.extend(state for state in others if state and state.follows == name)
        return max(found, key=lambda state: (state.epoch, state.name), default=None)

    def memory(self, state: State, plan: StreamPlan) -> Memory:
        """What a state keeps of records that came."""
        within = plan.deduplicate.settings.exact.within_seconds * SECOND if plan.deduplicate else 0
        seen = Seen(within, [Run.of(name, self._table(name)) for name in state.seen])
        held = detection = None
        if plan.window:
            runs = [HeldRun(file.name, self._table(file.name), file.begins) for file in state.held]
            held = Held.restored(plan.window.settings, runs, NEVER if state.watermark is None else state.watermark)
        if plan.detect:
            known = json.loads(self._read(state.detection)) if state.detection else None
            detection = Detection(plan.detect.settings, known)
        replayed = Replayed.of(state.replayed, self._read(state.replayed)) if state.replayed else Replayed()
        return Memory(seen, held, detection, state.detection, replayed)

    def forget(self, old: State, new: State) -> None:
        """Deletes what an older state needed and a newer one does not."""
        for name in sorted(old.files - new.files):
            self._folder.delete(name)

    def forget_others(self, state: State) -> None:
        """Deletes every file that this state does not need: what other heads began and never committed."""
        for name in sorted(set(self._folder.names()) - state.files):
            self._folder.delete(name)

    def _table(self, name: str) -> pa.Table:
        return pieces.from_bytes(self._read(name))

    def _read(self, name: str) -> bytes:
        try:
            return self._folder.read(name)
        except FileNotFoundError:
            raise RunFault(
                "StateLost",
                f"{self._folder.uri} lacks {name}, of what the stream remembers: another head of this run may have deleted it, or somebody else; "
                f"delete that folder whole to go on from the table's last commit, without what was remembered",
            ) from None
