"""Which records a step takes, and which of them a rank: functions of (seed, epoch, step), never of memory or time."""

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch


@dataclass(frozen=True)
class Order:
    """The order of a run's records. Steps count from 1; the last batch of an epoch may be smaller."""

    seed: int
    records: int
    batch_size: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps that pass over all records once."""
        return -(-self.records // self.batch_size)

    def epoch(self, step: int) -> int:
        """How many epochs are complete after the step."""
        return step // self.steps_per_epoch

    def batch(self, step: int) -> torch.Tensor:
        """The indices of the step's global batch."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        shuffled = _shuffled(self.seed, epoch, self.records)
        return shuffled[place * self.batch_size : (place + 1) * self.batch_size]


def share(batch: torch.Tensor, rank: int, world_size: int) -> torch.Tensor:
    """The rank's part of a global batch: all parts together are the batch, sizes differ by one at most."""
    return batch.tensor_split(world_size)[rank]


def seed_everything(*numbers: int) -> None:
    """Starts torch's, numpy's and Python's random numbers at a place given by the numbers."""
    first, second = (int(word) for word in np.random.SeedSequence(numbers).generate_state(2, np.uint32))
    # Not torch.manual_seed, which asks every kind of device and takes as long as a small network's whole step.
    torch.default_generator.manual_seed(first << 32 | second)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(first << 32 | second)
    np.random.seed(first)
    random.seed(second)


@lru_cache(maxsize=1)
def _shuffled(seed: int, epoch: int, records: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(records))
