"""What the head asks of a reader, and what it is answered. All of it travels between processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.api.run_report import Records
from headrace_workers.data.quarantine import BadRecord

TIME = "headrace.time"
"""A column on the way: when a record happened, int64 microseconds since 1970."""
SIGNATURE = "headrace.signature"
"""A column on the way: 16 bytes that are equal for equal records."""
POSITION = "headrace.position"
"""A column on the way: the message that a record was, topic/partition/offset."""
HIDDEN = (TIME, SIGNATURE, POSITION)

Offsets = Mapping[str, int]
"""The next message to read, by partition: topic/number."""


@dataclass(frozen=True)
class Request:
    """Read from here on: at most so many messages or bytes; wait so long for the first, and so long after it for more."""

    offsets: Offsets
    known: pa.Schema
    wait_seconds: float = 0.5
    linger_seconds: float = 0.1
    most_messages: int = 20_000
    most_bytes: int = 16 << 20
    lists: bool = False
    """Whether all partitions are asked for, too."""


@dataclass(frozen=True)
class Part:
    """What was read of some partitions: the records after the steps that the reader does, and the account of them.

    `discovered` has the types of columns that were not known when it was asked. `newest` is the newest time by partition,
    int64 microseconds since 1970; `high` the end of each partition, as far as it is known. `trouble` says in a sentence why
    nothing could be read; `partitions` are all that there are, where that was asked.
    """

    begins: Offsets
    offsets: Offsets
    table: pa.Table
    discovered: pa.Schema
    records: Records = field(default_factory=Records)
    bad: tuple[BadRecord, ...] = ()
    newest: Mapping[str, int] = field(default_factory=dict)
    high: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    trouble: str = ""
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """Why a reader could not do what it was asked: a fault of the manifest or of the data, not of the reader."""

    reason: str
    message: str
    retryable: bool
