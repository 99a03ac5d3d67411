"""Which repaired records a Stream has taken: a file beside its state, so that the table's commit says it with the rows.

A message is in the quarantine once; each repair of it that was still bad put it there once more. What is there as often as
it was repaired is not there any more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.api.quarantine_line import QuarantineLine, digest


@dataclass(frozen=True)
class Replayed:
    """Digests of the repaired records that were taken of each message, and the file that has them."""

    taken: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""

    @classmethod
    def of(cls, file: str, content: bytes) -> "Replayed":
        """What `content` wrote."""
        return cls({name: tuple(digests) for name, digests in json.loads(content).items()}, file)

    @property
    def content(self) -> bytes:
        """Its file's content."""
        return json.dumps(self.taken).encode()

    def has(self, line: QuarantineLine) -> bool:
        """Whether this very repair was taken."""
        return _digest(line) in self.taken.get(line.place, ())

    def times(self, place: str) -> int:
        """How often a message was repaired."""
        return len(self.taken.get(place, ()))

    def with_lines(self, lines: Iterable[QuarantineLine], file: str) -> "Replayed":
        """With more lines, in a file of that name."""
        taken = dict(self.taken)
        for line in lines:
            taken[line.place] = (*taken.get(line.place, ()), _digest(line))
        return Replayed(taken, file)


def _digest(line: QuarantineLine) -> str:
    columns = line.columns
    return digest(line.record if columns is None else columns)
