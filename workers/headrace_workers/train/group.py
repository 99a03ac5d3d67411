"""A process among those that train together, and the few words they exchange besides gradients.

A group of one needs no torch.distributed, and a group that Ray Train formed stays as it is: `elastic_group.py` has one
that changes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from headrace_workers.train.compression.base import Wire

if TYPE_CHECKING:
    from headrace_workers.train.training import Training


class PeerLost(Exception):
    """A collective did not end: a peer is gone, or the network to it."""


class Left(Exception):
    """The rank was asked to go, or the run stops while it waits for others: whoever trains on does so without it."""


class Group:
    """A rank among `world_size`, whose collectives go by `wire`."""

    formed = True
    """Whether the ranks know each other; `form` is due if not."""
    changes = False
    """Whether ranks may come and go."""

    def __init__(self, rank: int = 0, world_size: int = 1, device: str = "cpu", wire: Wire | None = None) -> None:
        """A fixed group; without a wire its collectives are those of torch.distributed."""
        self.rank = rank
        self.world_size = world_size
        self.device = device
        self.wire = wire or Wire()

    @property
    def leads(self) -> bool:
        """Whether this is the rank that speaks and writes for all."""
        return self.rank == 0

    @property
    def pods(self) -> tuple[str, ...]:
        """The pods of the ranks in their order, where ranks know them."""
        return ()

    @property
    def fewest(self) -> int:
        """As many ranks must be left for training to go on."""
        return self.world_size

    @property
    def missing(self) -> int:
        """How many ranks were lost when the group was last formed."""
        return 0

    @property
    def wants_others(self) -> bool:
        """Whether somebody waits to be let in, as far as this rank has heard."""
        return False

    @property
    def wants_to_leave(self) -> bool:
        """Whether this rank was asked to go."""
        return False

    def form(self, training: "Training") -> None:
        """Finds the ranks that are there now; PeerLost if that has to be tried again."""

    def reform(self) -> None:
        """Has the group formed anew before the next move."""

    def part(self, leaving: Sequence[int]) -> None:
        """Goes on without the ranks that leave; `Left` on a rank that is one of them."""

    def lose(self, lost: PeerLost) -> None:
        """Hears that a collective failed; raises it where nothing can be done about that."""
        raise lost

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over the ranks, on the CPU."""
        if self.world_size == 1:
            return tensor
        total = tensor.to(self.device)
        self.wire.add_up(total)
        return total.cpu()

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """The ranks' bytes, all of one length, in the order of ranks."""
        if self.world_size == 1:
            return [data]
        mine = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
        gathered = mine.new_empty(self.world_size * len(mine))
        self.wire.gather(gathered, mine)
        return [bytes(row.tolist()) for row in gathered.cpu().view(self.world_size, -1)]

    def from_leader(self, number: int) -> int:
        """Rank 0's number."""
        return int.from_bytes(self.gather_bytes(number.to_bytes(8, "big", signed=True))[0], "big", signed=True)
