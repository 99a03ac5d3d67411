"""A process among those that train together, and the few words they exchange besides gradients.

A group of one needs no torch.distributed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

ONE_BUCKET_MEBIBYTES = 10_000
"""Larger than any gradient: DDP then makes one static bucket, which the compression hooks are written for."""


def distributed(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its gradients exchanged in one bucket."""
    return DistributedDataParallel(network, bucket_cap_mb=ONE_BUCKET_MEBIBYTES)


def alone(network: torch.nn.Module) -> torch.nn.Module:
    """The network as it is."""
    return network


@dataclass(frozen=True)
class Group:
    """A rank among `world_size`; `prepare` puts a network on its device and makes it exchange gradients."""

    rank: int = 0
    world_size: int = 1
    prepare: Callable[[torch.nn.Module], torch.nn.Module] = field(default=alone)
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this is the rank that speaks and writes for all."""
        return self.rank == 0

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over the ranks, on the CPU."""
        if self.world_size == 1:
            return tensor
        total = tensor.to(self.device)
        dist.all_reduce(total)
        return total.cpu()

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """The ranks' bytes, all of one length, in the order of ranks."""
        if self.world_size == 1:
            return [data]
        mine = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
        gathered = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(gathered, mine)
        return [bytes(tensor.cpu().tolist()) for tensor in gathered]

    def from_leader(self, number: int) -> int:
        """Rank 0's number."""
        if self.world_size == 1:
            return number
        told = torch.tensor([number], dtype=torch.int64, device=self.device)
        dist.broadcast(told, 0)
        return int(told)
