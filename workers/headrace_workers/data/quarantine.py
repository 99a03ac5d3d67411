"""Where bad records go: JSON lines in the run's storage, with what was wrong and where the record came from.

A bad record never stops the others; too many of them stop the run, because then the source is what is broken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.api.quarantine_line import digest
from headrace_workers.faults import RunFault
from headrace_workers.storage import Folder

FOLDER = "quarantine"


@dataclass(frozen=True)
class BadRecord:
    """One record that could not go on: its columns, or what stood in the source where they could not be told apart.

    `column` is the one whose value was wrong; `hidden` are those that do not show what the record has. `at` is the
    message that it was.
    """

    stage: str
    code: str
    message: str
    position: str
    record: str | Mapping[str, Any]
    column: str = ""
    hidden: tuple[str, ...] = ()
    at: str = ""

    def line(self, version: str = "") -> bytes:
        """The record as one line of the quarantine; `version` is that of the file it came from."""
        record = (
            self.record if isinstance(self.record, str) else json.dumps(self.record, default=str, ensure_ascii=False)
        )
        fields: dict[str, Any] = {
            "stage": self.stage,
            "code": self.code,
            "message": self.message,
            "source": self.position,
            "record": record,
        }
        if self.at:
            fields["at"] = self.at
        if version:
            fields["version"] = version
        if self.hidden:
            shown = json.loads(record)
            fields["hidden"] = {name: digest(shown[name]) for name in self.hidden}
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


def write(storage: Folder, name: str, bad: Sequence[BadRecord], version: str = "") -> None:
    """Writes one file of bad records; writing the same ones again changes nothing."""
    storage.sub(FOLDER).write(f"{name}.jsonl", b"".join(record.line(version) for record in bad))


def require_few(bad: int, read: int, max_fraction: float, first: str) -> None:
    """Raises TooManyBadRecords when the share of bad records is above what the pipeline allows."""
    if read and bad / read > max_fraction:
        raise RunFault(
            "TooManyBadRecords",
            f"{bad} of {read} records ({100 * bad / read:.3g} %) are bad, more than the {100 * max_fraction:.3g} % allowed; "
            f"first: {first}; raise quarantine.maxFraction or repair the source",
        )
