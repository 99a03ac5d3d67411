"""Messages as they come from a partition, before anything is known of what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Taken:
    """Consecutive messages of one partition; times are milliseconds since 1970, a message without a value is empty."""

    offsets: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What one look at the partitions gave: messages by partition, where to go on, the partitions' ends.

    `seconds` is how long the reader was at work, waiting not counted.
    """

    taken: Mapping[str, Taken]
    offsets: Mapping[str, int]
    high: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""
    seconds: float = 0.0

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return sum(len(taken.offsets) for taken in self.taken.values())
