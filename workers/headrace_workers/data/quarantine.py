"""Where bad records go: JSON lines in the run's storage, with what was wrong and where the record came from.

A bad record never stops the others; too many of them stop the run, because then the source is what is broken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

FOLDER = "quarantine"


@dataclass(frozen=True)
class BadRecord:
    """One record that could not go on: its columns, or what stood in the source where they could not be told apart.

    `column` is the one whose value was wrong.
    """

    stage: str
    code: str
    message: str
    position: str
    record: str | Mapping[str, Any]
    column: str = ""

    def line(self) -> bytes:
        """The record as one line of the quarantine."""
        fields = {
            "stage": self.stage,
            "code": self.code,
            "message": self.message,
            "source": self.position,
            "record": self.record
            if isinstance(self.record, str)
            else json.dumps(self.record, default=str, ensure_ascii=False),
        }
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


def write(storage: Folder, name: str, bad: Sequence[BadRecord]) -> None:
    """Writes one file of bad records; writing the same ones again changes nothing."""
    storage.sub(FOLDER).write(f"{name}.jsonl", b"".join(record.line() for record in bad))


def require_few(bad: int, read: int, max_fraction: float, first: str) -> None:
    """Raises TooManyBadRecords when the share of bad records is above what the pipeline allows."""
    if read and bad / read > max_fraction:
        raise RunFault(
            "TooManyBadRecords",
            f"{bad} of {read} records ({100 * bad / read:.3g} %) are bad, more than the {100 * max_fraction:.3g} % allowed; "
            f"first: {first}; raise quarantine.maxFraction or repair the source",
        )
