"""What every way for gradients to travel has in common.

A method replaces a bucket's gradients by their average over the ranks, in the thread that calls it: on gloo, collectives
that finish out of order abort the process. State is kept by parameter name, never by bucket or position, so that it
survives a checkpoint and a change of size. A collective that fails raises, and the method then remembers what it did
before: the same step may be taken again by other ranks.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Wire:
    """The collectives that an exchange is made of: torch.distributed's, unless others are given."""

    add_up: Callable[[torch.Tensor], object] = dist.all_reduce
    """Replaces a tensor by its sum over the ranks."""
    swap: Callable[[torch.Tensor, torch.Tensor], object] = dist.all_to_all_single
    """(into, from): rows of `from` go to the ranks of their numbers, whose rows come into `into`."""
    gather: Callable[[torch.Tensor, torch.Tensor], object] = dist.all_gather_into_tensor
    """(into, from): into comes every rank's `from`, one behind the other."""


class GradientExchange(ABC):
    """Averages gradients over the ranks and counts what that costs."""

    method: str | None = None
    """The way that is taken now, of those that choose one."""

    def __init__(self, world_size: int, wire: Wire | None = None) -> None:
        """Starts at step 0 with nothing counted."""
        self.world_size = world_size
        self.step = 0
        self.bytes_sent = 0
        self.bytes_uncompressed = 0
        self.encoding_seconds = 0.0
        self.wire = wire or Wire()

    @abstractmethod
    def average(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Replaces the gradients, views into the bucket `flat`, by their average (or an approximation) over the ranks."""

    def state(self) -> dict[str, torch.Tensor]:
        """What the method remembers between steps, by <kind>/<parameter name>; this rank's own."""
        return {}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Remembers what `state` gave, or of several ranks' the mean, and the sum of what one keeps for all."""
        if tensors:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {', '.join(sorted(tensors))}")

    def owed(self) -> dict[str, torch.Tensor]:
        """What this rank has to add to its next gradients, by parameter name, so that nothing is lost when another method goes on."""
        return {}

    @property
    def residual_norm(self) -> float | None:
        """The L2 norm of what this rank owes; none with a method that never owes."""
        norms = [torch.linalg.vector_norm(each) for each in self.owed().values()]
        return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else None

    def forget(self) -> None:
        """Owes nothing any more."""
        self.owe({})

    def common(self) -> dict[str, torch.Tensor]:
        """What all ranks remember alike, for one that joins."""
        return {}

    def take_common(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Remembers what `common` gave on another rank."""
        if tensors:
            raise ValueError(f"{type(self).__name__} has nothing in common, but was given {', '.join(sorted(tensors))}")

    def regroup(self, rank: int, world_size: int) -> None:
        """Goes on as a rank of another group; what this rank owes counts in its averages as much as it did before.

        What ranks that are gone owed is lost with them: those that can should `pay` before they go.
        """
        owed = {name: each * (world_size / self.world_size) for name, each in self.owed().items()}
        self.world_size = world_size
        self.owe(owed)

    def owe(self, owed: Mapping[str, torch.Tensor]) -> None:
        """Owes this and nothing else, by parameter name."""
        if owed:
            raise ValueError(f"{type(self).__name__} owes nothing, but was told to owe for {', '.join(sorted(owed))}")

    def pay(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Averages gradients and all that is owed exactly; afterwards nobody owes anything."""
        self.bytes_uncompressed += self.ring_bytes(flat)
        for name, owed in self.owed().items():
            gradients[name].add_(owed.view(gradients[name].shape))
        self.add_up(flat)
        flat.div_(self.world_size)
        self.forget()

    def exchange(self, flat: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> None:
        """Averages one bucket and counts what it would have cost uncompressed."""
        self.bytes_uncompressed += self.ring_bytes(flat)
        self.average(flat, gradients)

    def add_up(self, tensor: torch.Tensor) -> None:
        """Sums over the ranks in place, and counts the bytes."""
        self.bytes_sent += self.ring_bytes(tensor)
        self.wire.add_up(tensor)

    def average_exactly(self, tensors: Sequence[torch.Tensor]) -> None:
        """Averages tensors over the ranks in place, by one sum."""
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.add_up(flat)
        flat.div_(self.world_size)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def ring_bytes(self, tensor: torch.Tensor) -> int:
        """What one rank sends for a ring all-reduce of the tensor: 2 (W - 1) / W of its bytes."""
        return 2 * (self.world_size - 1) * tensor.numel() * tensor.element_size() // self.world_size

    @contextmanager
    def encoding(self, flat: torch.Tensor) -> Iterator[None]:
        """Counts the time within as encoding, on the device of the bucket."""
        settle(flat.device)
        start = time.perf_counter()
        yield
        settle(flat.device)
        self.encoding_seconds += time.perf_counter() - start


def settle(device: torch.device) -> None:
    """Waits until a GPU has done all it was told, so that a clock shows what that took and not how long the telling was."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
