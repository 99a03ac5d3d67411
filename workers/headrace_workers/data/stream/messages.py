"""Messages as they come from partitions, before anything is known of what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass
class Taken:
    """Consecutive messages of one partition; times are milliseconds since 1970, a message without a value is empty."""

    offsets: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """What one look at the partitions gave: messages by partition, where to go on, the partitions' ends.

    `seconds` is how long the reader was at work, waiting not counted. Messages are counted through, partition after
    partition: the number of one is its place.
    """

    taken: Mapping[str, Taken]
    offsets: Mapping[str, int]
    high: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""
    seconds: float = 0.0

    @cached_property
    def values(self) -> list[bytes]:
        """What the messages hold."""
        return list(chain.from_iterable(taken.values for taken in self.taken.values()))

    @cached_property
    def times(self) -> np.ndarray:
        """When they were written, int64 microseconds since 1970."""
        times = chain.from_iterable(taken.times for taken in self.taken.values())
        return np.fromiter(times, np.int64, len(self.values)) * 1000

    @cached_property
    def ids(self) -> pa.Array:
        """Their names, topic/partition/offset."""
        made = [
            pc.binary_join_element_wise(f"{name}/", pa.array(taken.offsets, pa.int64()).cast(pa.string()), "")
            for name, taken in self.taken.items()
        ]
        return pa.concat_arrays(made) if made else pa.array([], pa.string())

    def newest(self, places: np.ndarray, times: np.ndarray) -> dict[str, int]:
        """The newest of some times by partition; `places` are those of their messages, ascending."""
        ends = np.cumsum([len(taken.offsets) for taken in self.taken.values()])
        parts = np.split(times, np.searchsorted(places, ends))[:-1]
        return {name: int(part.max()) for name, part in zip(self.taken, parts, strict=True) if len(part)}


@dataclass(frozen=True)
class Given(Reading):
    """Repaired records in the place of messages that were read before; they say nothing of how far partitions are."""

    names: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> pa.Array:
        """The names that the messages have."""
        return pa.array(self.names, pa.string())

    def newest(self, places: np.ndarray, times: np.ndarray) -> dict[str, int]:
        """None: what is repaired holds no partition up, and has none run ahead."""
        return {}
