"""TensorBoard events of a run, appended point by point to one file of the storage, by tensorboard's own records.

Its protocol classes are used without torch's SummaryWriter, which needs a local folder and a second to import.
"""

import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from headrace_workers.storage import Folder

FOLDER = "events"


class EventLog:
    """The events of one attempt; TensorBoard reads all attempts' files of the folder as one run."""

    def __init__(self, storage: Folder, attempt: int) -> None:
        """Events go to events/ of the run's storage."""
        self._folder = storage.sub(FOLDER)
        self._name = f"events.out.tfevents.{attempt:010d}.headrace"

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one scalar for each value."""
        # Imported here: 0.3 s that a run without a point yet does not wait for.
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in sorted(values.items())])
        self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def purge_after(self, step: int) -> None:
        """Has TensorBoard drop what was recorded for later steps: it does so when a session starts again."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        start = SessionLog(status=SessionLog.START)
        self._append(Event(wall_time=time.time(), step=step + 1, session_log=start))

    def _append(self, event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        buffer = BytesIO()
        writer = RecordWriter(buffer)
        if not self._folder.exists(self._name):
            writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        writer.write(event.SerializeToString())
        self._folder.append(self._name, buffer.getvalue())
