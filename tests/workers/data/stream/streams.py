"""Streams that run in the test's own process, and what they left behind."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from headrace.api.data_pipeline import DataPipelineSpec
from headrace_workers.data.stream.actor import ReaderActor
from headrace_workers.data.stream.epochs import Stream
from headrace_workers.data.stream.plan import planned
from headrace_workers.data.stream.readers import OneReader
from headrace_workers.storage import Folder
from tests.workers.data.builders import identity, pipeline

DEADLINE_SECONDS = 120.0


def spec_of(source: dict[str, Any], *steps: dict[str, Any], **more: Any) -> DataPipelineSpec:
    """A Stream of a source and steps that commits often."""
    return pipeline(source, *steps, **{"mode": "Stream", "streaming": {"commitMilliseconds": 100}, **more})


class Place:
    """One pipeline's storage and table."""

    def __init__(self, folder: Path) -> None:
        """Nothing is there yet."""
        self.folder = folder

    def stream(self, spec: DataPipelineSpec, run: int = 1, reader: Any = None) -> Stream:
        """A head's stream with one reader in this process."""
        return Stream(
            planned(spec),
            identity(run),
            Folder(f"file:{self.folder}/run-{run}"),
            f"file:{self.folder}/table",
            OneReader(reader or ReaderActor(spec)),
        )

    def read(self, spec: DataPipelineSpec, records: int, run: int = 1, reader: Any = None) -> Stream:
        """Runs until the account has so many records in all."""
        stream = self.stream(spec, run, reader)
        until(stream, lambda: stream.state.records.read >= records)
        return stream

    @property
    def delta(self) -> DeltaTable:
        """The table."""
        return DeltaTable(str(self.folder / "table"))

    @property
    def rows(self) -> pa.Table:
        """The table's newest version."""
        return self.delta.to_pyarrow_table()

    def bad(self, run: int = 1, folder: str = "") -> list[dict[str, Any]]:
        """What the quarantine holds, or a folder of it."""
        files = sorted((self.folder / f"run-{run}" / "quarantine" / folder).glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def until(stream: Stream, done: Callable[[], bool]) -> None:
    """Runs a stream until something holds, and stops it."""
    stopping, ends = threading.Event(), time.monotonic() + DEADLINE_SECONDS

    def look(_: Stream) -> None:
        if done():
            stopping.set()
        if time.monotonic() > ends:
            raise TimeoutError(f"the stream has {stream.state.records} after {DEADLINE_SECONDS:g} s: {stream.trouble}")

    try:
        stream.run(stopping, look)
    finally:
        stream.readers.close()
