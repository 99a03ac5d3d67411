"""Collectives of ranks that are threads of one process: what they send lies in memory that all of them see."""

import threading
from collections.abc import Callable

import torch

from headrace_workers.train.compression.base import Wire

WAIT_SECONDS = 60.0
"""A rank that failed does not come."""


def wires_of_threads(world_size: int) -> list[Wire]:
    """A wire for each rank."""
    memory = _Memory(world_size)
    return [Wire(memory.add_up(rank), memory.swap(rank), memory.gather(rank)) for rank in range(world_size)]


class _Memory:
    def __init__(self, world_size: int) -> None:
        self._sent: list[torch.Tensor] = [torch.empty(0)] * world_size
        self._barrier = threading.Barrier(world_size, timeout=WAIT_SECONDS)

    def add_up(self, rank: int) -> Callable[[torch.Tensor], None]:
        def do(mine: torch.Tensor) -> None:
            total = self._read(rank, mine, lambda sent: torch.stack(sent).sum(dim=0))
            mine.copy_(total)

        return do

    def swap(self, rank: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
        def do(into: torch.Tensor, mine: torch.Tensor) -> None:
            into.copy_(self._read(rank, mine, lambda sent: torch.stack([theirs[rank] for theirs in sent])))

        return do

    def gather(self, rank: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
        def do(into: torch.Tensor, mine: torch.Tensor) -> None:
            into.copy_(self._read(rank, mine, torch.cat))

        return do

    def _read(self, rank: int, mine: torch.Tensor, read: Callable[[list[torch.Tensor]], torch.Tensor]) -> torch.Tensor:
        """What is made of everybody's tensor; nobody changes a tensor before all have read it."""
        self._sent[rank] = mine
        self._barrier.wait()
        made = read(self._sent)
        self._barrier.wait()
        return made
